"""`python -m suite`: lists the commands, runs one by its short name, or prints a shell's completion.

Examples:
  python -m suite search --space search_spaces/quickstart.yaml
  crystalformer-suite completion bash > ~/.local/share/bash-completion/completions/crystalformer-suite
"""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from suite.command_line import OneLineParser
from suite.commands import COMMANDS

PROGRAM = "crystalformer-suite"
SHELLS = ("bash", "zsh", "tcsh")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code, that of the command where one is run."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        # In this process's place, so that signals and the terminal are the command's.
        command = [sys.executable, "-m", COMMANDS[given[0]].module, *given[1:]]
        os.execv(sys.executable, command)
    options = parser().parse_args(given)
    if options.command == "completion":
        print(completion(options.shell), end="")
    else:
        parser().print_help()
    return 0


def completion(shell: str) -> str:
    """The completion script of one of `SHELLS` for the program `crystalformer-suite`."""
    import shtab

    parser = argparse.ArgumentParser(prog=PROGRAM)
    commands = parser.add_subparsers()
    for name, command in COMMANDS.items():
        # By name, since some commands lie above this package, which imports none of them.
        module = importlib.import_module(_entry(command.module))
        theirs = module.parser()
        for action in theirs._actions:
            if action.type is Path:
                action.complete = shtab.FILE
        commands.add_parser(name, help=command.purpose, parents=[theirs], add_help=False)
    return shtab.complete(parser, shell)


def _entry(module: str) -> str:
    """The module that `python -m` runs: that of a package is its `__main__`."""
    package = importlib.util.find_spec(module)
    assert package is not None
    return f"{module}.__main__" if package.submodule_search_locations else module


def parser() -> argparse.ArgumentParser:
    """The commands, each with what it does."""
    parser = OneLineParser(
        prog="python -m suite",
        description="Search hyper-parameters of models of crystals, and compare the models.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Examples:{__doc__.partition('Examples:')[2]}",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=f"{command.purpose} (python -m {command.module})", add_help=False)
    scripts = commands.add_parser("completion", help="print the completion script of a shell")
    scripts.add_argument("shell", choices=SHELLS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
