"""Every command that a document shows is one that exists, with flags that it has and files that are there."""

import re
import shlex
from pathlib import Path

import pytest
from documents import DOCUMENTS, ROOT, code_blocks, commands, inline_commands

from suite.commands import parser_of

SHOWN = [
    pytest.param(command, id=f"{block.name} {command[:60]}")
    for document in DOCUMENTS
    for block in code_blocks(document)
    for command in commands(block)
]

MENTIONED = [
    pytest.param(command, id=f"{document.name} {command[:60]}")
    for document in DOCUMENTS
    for command in sorted(set(inline_commands(document)))
    if " --" in command  # without a flag it may be the name of a command alone
]


def words_of(command: str) -> list[str]:
    """The words before a redirection or a pipe."""
    return shlex.split(re.split(r"\s(?:>|>>|\||&&)\s", command)[0])


def check_module(module: str, arguments: list[str]) -> None:
    if module.startswith("benchmarks."):
        source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text()
        missing = [word for word in arguments if word.startswith("--") and f'"{word}"' not in source]
        assert not missing, f"{module} has no {missing}"
        return
    if module in ("pytest", "venv", "pip"):
        return
    parser_of(module).parse_args(arguments)  # SystemExit where it does not fit


@pytest.mark.parametrize("command", [*SHOWN, *MENTIONED])
def test_a_command_exists(command: str) -> None:
    program, *arguments = words_of(command)
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in arguments if "=" not in word} <= set(targets)
    elif program.endswith("python") and arguments[:1] == ["-m"]:
        check_module(arguments[1], arguments[2:])
    for word in arguments:
        if re.match(r"(search_spaces|tests|docs|benchmarks)/", word):
            assert (ROOT / word).exists(), word


def test_the_check_can_fail() -> None:
    with pytest.raises(SystemExit):
        check_module("suite.search", ["--space", "x.yaml", "--no-such-flag"])
    with pytest.raises(AssertionError):
        test_a_command_exists("make no-such-target")
    with pytest.raises(AssertionError):
        test_a_command_exists("python -m suite.search --space search_spaces/no_such_file.yaml")


def test_commands_are_found() -> None:
    assert len(SHOWN) > 20
    assert any("suite.cluster" in str(shown.values[0]) for shown in SHOWN)


def test_languages_are_known() -> None:
    known = {"", "sh", "bash", "console", "python", "yaml", "json", "text", "csv", "toml", "diff"}
    languages = {block.language for document in DOCUMENTS for block in code_blocks(document)}
    assert languages <= known


def test_blocks_are_read_as_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "a\n\n    make test  # all\n    python -m x \\\n      --y\n\nb\n\n```sh\npip install .\n```\n"
    )
    blocks = list(code_blocks(page))
    assert [block.line for block in blocks] == [3, 9]
    assert [command for block in blocks for command in commands(block)] == [
        "make test", "python -m x --y", "pip install .",
    ]  # fmt: skip
