"""What the command lines share: exit codes, errors in one line, and help that ends with examples."""

import argparse
import shutil
from typing import Any, NoReturn

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
EXAMPLES = "Examples:\n"
WIDEST = 100  # columns of a page of help


class _Help(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal, up to `WIDEST`, with short flags and their meaning on one line."""

    def __init__(self, prog: str) -> None:
        width = min(shutil.get_terminal_size().columns, WIDEST)
        super().__init__(prog, max_help_position=30, width=width)


class OneLineParser(argparse.ArgumentParser):
    """Errors of the command line in one line, like all others; help that fits a screen."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": _Help, **settings})

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(WRONG_INPUT, f"{self.prog}: {message}; --help lists the flags\n")


def command_parser(module: str, doc: str | None, usage: str) -> OneLineParser:
    """The parser of `python -m <module>`, without its flags.

    Args:
        module: what is run.
        doc: its docstring: what the command does, its exit codes, and at the end `Examples:`, one a line.
        usage: what follows the command; several lines for several uses.
    """
    description, _, examples = (doc or "").partition(EXAMPLES)
    return OneLineParser(
        prog=f"python -m {module}",
        usage="\n       ".join(f"%(prog)s {use}" for use in usage.splitlines()),
        description=description.strip(),
        epilog=f"{EXAMPLES}{examples.rstrip()}",
    )


def examples_of(parser: argparse.ArgumentParser) -> list[str]:
    """The commands at the end of its help."""
    return [line.strip() for line in (parser.epilog or "").removeprefix(EXAMPLES).splitlines()]
