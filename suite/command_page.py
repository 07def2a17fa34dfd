"""`python -m suite.command_page` prints docs/commands.md: every command, its flags and its examples.

It is written from the parsers themselves, as `--help` and the shells' completion are.
"""

import argparse
from collections.abc import Iterator

from suite.command_line import command_parser, examples_of
from suite.commands import COMMANDS, parser_of

NO_ROW = (argparse._HelpAction, argparse._SubParsersAction)
HEAD = """# The commands

Each is `python -m` and its module, or its short name after `python -m suite`: `python -m suite predict` is
`python -m suite.predict`. Installed, the short names also follow `crystalformer-suite`, and
`crystalformer-suite completion bash` (or zsh, tcsh) prints what makes a shell complete them. `--help` says
what this page says. A wrong input is one line: what was expected, what came, what to do. Ctrl-C ends a
command quietly.
"""


def page() -> str:
    """The page, in Markdown."""
    lines = [HEAD.rstrip()]
    for name, command in COMMANDS.items():
        parser = parser_of(command.module)
        lines += ["", f"## {name}: `python -m {command.module}`", "", *_parts(parser.description or "")]
        lines += ["", "```bash", *examples_of(parser), "```", ""]
        lines += _table(parser)
        for sub, theirs in _subcommands(parser):
            lines += ["", f"### `python -m {command.module} {sub}`", "", *_table(theirs)]
    return "\n".join([*lines, ""])


def _parts(description: str) -> list[str]:
    """The lines of a description, the exit codes as a paragraph of their own."""
    return description.replace("\nExit codes", "\n\nExit codes").replace("\n\n\n", "\n\n").splitlines()


def _table(parser: argparse.ArgumentParser) -> list[str]:
    rows = [_row(action) for action in parser._actions if not isinstance(action, NO_ROW)]
    return ["| argument | meaning |", "|---|---|", *rows] if rows else []


def _row(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f"{action.metavar or action.dest}"
    meaning = (action.help or "").replace("<", "&lt;").replace("|", "\\|")
    needed = "; required" if action.option_strings and action.required else ""
    return f"| `{' '.join([*action.option_strings, value]).strip()}` | {meaning}{needed} |"


def _subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


if __name__ == "__main__":
    command_parser("suite.command_page", __doc__, "").parse_args()
    print(page(), end="")
