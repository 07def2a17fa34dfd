"""The commands as a user finds them: the list, the short names, completion, help."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from suite.__main__ import SHELLS, completion, main
from suite.commands import COMMANDS, parser_of

ROOT = Path(__file__).resolve().parents[2]
NOT_LISTED = {
    "suite",  # the list itself
    # what other commands start
    "crystalformer.sources.worker", "reports.after_search", "suite.probe_worker", "suite.team",
    # what maintainers run: bundled data, the file of published errors, committed results, docs/commands.md
    "crystalformer.sources.bundle", "reports.published", "reports.publish", "reports.tables",
    "suite.command_page",
}  # fmt: skip


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "suite", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_every_command_is_listed() -> None:
    programs = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for package in ("crystalformer", "baselines", "suite", "reports")
        for path in (ROOT / package).rglob("*.py")
        if 'if __name__ == "__main__":' in path.read_text()
    }
    assert programs - NOT_LISTED == {command.module for command in COMMANDS.values()}


def test_without_a_command_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    listed = capsys.readouterr().out
    for name in COMMANDS:
        assert f"\n    {name} " in listed


def test_a_short_name_runs_the_command() -> None:
    by_name = run("trace", "no-such-run", "--model", "cgcnn", "--target", "K")
    assert by_name.returncode == 2
    assert by_name.stderr.startswith("reports.trace: no-such-run")


def test_a_misspelt_command_is_one_line() -> None:
    done = run("serach")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "serach" in done.stderr
    assert "search" in done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_every_flag(shell: str) -> None:
    script = completion(shell)
    for command in COMMANDS.values():
        parser = parser_of(command.module)
        for flag in (flag for action in parser._actions for flag in action.option_strings):
            assert flag.lstrip("-") in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes(tmp_path: Path) -> None:
    (tmp_path / "completion.bash").write_text(completion("bash"))

    def completed(*words: str) -> set[str]:
        line = " ".join(words)
        lines = [
            "source completion.bash",
            f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}",
            "_shtab_crystalformer_suite; echo ${COMPREPLY[@]}",
        ]
        done = subprocess.run(["bash", "-c", "\n".join(lines)], cwd=tmp_path, capture_output=True, text=True)
        return set(done.stdout.split())

    assert completed("crystalformer-suite", "sea") == {"search"}
    assert completed("crystalformer-suite", "search", "--sp") == {"--space"}
    assert completed("crystalformer-suite", "cluster", "slu") == {"slurm"}
