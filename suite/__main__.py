"""Search hyper-parameters of models of crystals, compare them, predict; each command has a --help.

Examples:
  python -m suite search --space search_spaces/quickstart.yaml
  crystalformer-suite completion bash >> ~/.bash_completion
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from suite.command_line import command_parser
from suite.commands import COMMANDS, parser_of

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
        theirs = parser_of(command.module)
        for action in theirs._actions:
            if action.type is Path:
                vars(action)["complete"] = shtab.FILE  # as shtab has it
        commands.add_parser(name, help=command.purpose, parents=[theirs], add_help=False)
    return shtab.complete(parser, shell)


def parser() -> argparse.ArgumentParser:
    """The commands, each with what it does."""
    parser = command_parser("suite", __doc__, "COMMAND ...")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", title="commands", prog="python -m suite"
    )
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.purpose, add_help=False)
    scripts = commands.add_parser("completion", help="print the completion script of a shell")
    scripts.add_argument("shell", choices=SHELLS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
