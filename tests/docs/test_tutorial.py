"""docs/tutorial.md, followed from top to bottom in a new folder, with fewer trials and epochs."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT, Block, code_blocks, commands

PAGE = ROOT / "docs" / "tutorial.md"
SHORT = {  # what `--set` and `--trials` make of each search; each worker of Ray takes seconds to start
    "search_spaces/quickstart.yaml": [
        "budget.epochs=3",
        "search.concurrent=1",
        "data.subset=96",
        "final.seeds=[0]",
        "models.crystalformer={num_layers: 1, width: 16, heads: 2, ff_width: 32}",
    ],
    "my.yaml": ["budget.epochs=2", "search.concurrent=1", "final.seeds=[0, 1]", "final.floors=false"],
}
TRIALS = {"16": "3"}  # where the page asks for more than the file; otherwise two


class Reader:
    """Does what the page says; its folder stands for the clone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "search_spaces", folder / "search_spaces")
        self.environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "100",
            "RAY_worker_niceness": "0",
        }

    def follow(self, block: Block) -> dict[str, str]:
        """What each command of a block, or the program in it, said; nothing of a file to be saved."""
        if block.language == "bash":
            return {line: self.type(line) for line in block.text.splitlines()}
        if name := file_to_save(block):
            (self.folder / name).write_text(block.text)
            return {}
        assert block.language == "python"
        return {block.text: self.python("-c", block.text)}

    def type(self, line: str) -> str:
        """A line; where it is not Python's, what can be done without another environment or a server."""
        program, *words = shlex.split(line)
        if program == "make":  # it would make an environment first; then it runs its last line
            plan = subprocess.run(
                ["make", "-n", "--no-print-directory", *words],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            program, *words = shlex.split(plan.stdout.splitlines()[-1])
            assert program == ".venv/bin/python"
        elif program == "source":
            assert words == [".venv/bin/activate"]
            return ""
        elif program == "cat":
            return (self.folder / words[0]).read_text()
        elif program == "tensorboard":
            assert words[0] == "--logdir"
            assert list((self.folder / words[1]).rglob("events.out.tfevents.*"))
            return ""
        else:
            assert program == "python"
        return self.python(*words, *shortened(words))

    def python(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=800,
        )
        assert done.returncode == 0, (words, done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout


def file_to_save(block: Block) -> str | None:
    """The name that the paragraph before a block gives to it."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()[: block.line - 1]
    paragraph = "\n".join(lines).rstrip().rpartition("\n\n")[2]
    found = re.search(r"Save this as `([\w.]+)`", paragraph)
    return found[1] if found else None


def shortened(words: list[str]) -> list[str]:
    if words[:2] != ["-m", "suite.search"]:
        return []
    trials = TRIALS[words[words.index("--trials") + 1]] if "--trials" in words else "2"
    settings = SHORT[words[words.index("--space") + 1]]
    return ["--trials", trials, *(word for setting in settings for word in ("--set", setting))]


@pytest.mark.long
@pytest.mark.searches
def test_the_page_leads_from_the_clone_to_predictions(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    said: dict[str, str] = {}
    for block in code_blocks(PAGE):
        said |= reader.follow(block)

    assert "agree" in said["python -m reports.trace runs/quickstart --model cgcnn --target log10_K_VRH"]
    assert re.search(r"crystals +250, ", said["python -m suite.data audit my.csv"])
    assert not (tmp_path / "runs/my/rejected.csv").exists()
    for row in ("Crystalformer", "CGCNN", "log10(GPa)"):
        assert row in said["cat runs/my/report/mae_table.md"]
    lines = said["python -m suite.predict runs/my new"].splitlines()
    assert len([line for line in lines if re.search(r" -?\d+\.\d+ ± \d+\.\d+ log10\(GPa\)$", line)]) == 10
    assert said["python -m suite.predict my-model new"] == "\n".join([*lines, ""])
    with (tmp_path / "predictions.csv").open(newline="") as file:
        assert len([row for row in csv.DictReader(file) if row["value"] and not row["error"]]) == 10
    (program,) = (text for text in said if text.startswith("import suite"))
    one, other = (line.split() for line in said[program].splitlines())
    assert float(one[0]) == pytest.approx(float(other[0]), abs=1e-4)


def test_every_command_of_the_page_is_in_a_block_that_is_followed() -> None:
    blocks = list(code_blocks(PAGE))
    assert {block.language for block in blocks} == {"bash", "python", "yaml"}
    assert sum(1 for block in blocks for _ in commands(block)) >= 13
