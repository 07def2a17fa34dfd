"""The help of every command: it fits a screen, ends with examples that work, and needs nothing heavy."""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from suite.command_line import EXAMPLES, examples_of
from suite.commands import COMMANDS, parser_of

ROOT = Path(__file__).resolve().parents[2]
MODULES = ["suite", *(command.module for command in COMMANDS.values())]
SCREEN = 24  # lines
# what takes a tenth of a second or more to import
HEAVY = {"matplotlib", "numba", "optuna", "pandas", "pyarrow", "pymatgen", "ray", "scipy", "sklearn", "torch"}
LOADED = """
import atexit, runpy, sys
atexit.register(lambda: print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr))
sys.argv = [sys.argv[1], "--help"]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def parsers() -> list[argparse.ArgumentParser]:
    """Those of all commands, and of their subcommands."""
    found = [parser_of(module) for module in MODULES]
    for parser in list(found[1:]):
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += action.choices.values()
    return found


def parse(command: str) -> None:
    """Raises SystemExit where the command does not fit its parser."""
    program, *words = shlex.split(re.split(r"\s(?:>|>>|\|)\s", command)[0])
    if program == "crystalformer-suite":
        module = "suite"
    else:
        assert (program, words[0]) == ("python", "-m")
        module, words = words[1], words[2:]
    if module == "suite" and words[0] in COMMANDS:
        module, words = COMMANDS[words[0]].module, words[1:]
    parser_of(module).parse_args(words)


@pytest.mark.parametrize("parser", parsers(), ids=lambda parser: parser.prog)
def test_it_fits_a_screen(parser: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, most in ((100, SCREEN), (80, 40), (200, SCREEN)):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = parser.format_help().splitlines()
        assert len(lines) <= most
        assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("module", MODULES)
def test_it_ends_with_examples_that_fit_the_command(module: str) -> None:
    parser = parser_of(module)
    assert parser.format_help().rstrip().endswith((parser.epilog or "").rstrip())
    assert (parser.epilog or "").startswith(EXAMPLES)
    examples = examples_of(parser)
    assert any(f"python -m {module} " in f"{example} " for example in examples)
    for example in examples:
        parse(example)


def test_an_example_that_does_not_fit_is_found() -> None:
    for wrong in (
        "python -m suite.search --spaces x",
        "python -m suite.export runs/x",
        "python -m suite nothing",
    ):
        with pytest.raises(SystemExit):
            parse(wrong)


@pytest.mark.parametrize("module", MODULES)
def test_nothing_heavy_is_imported_for_it(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, module],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.startswith("usage: ")
    loaded = set(done.stderr.split())
    assert {"suite", "argparse"} <= loaded
    assert not loaded & HEAVY
