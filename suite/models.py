"""Print the models of the registry, with their trainable parameters as counted and as published.

Exit codes: 0 done, 2 the input is wrong.

Examples:
  python -m suite.models
  python -m suite.models --json
"""

import json
import sys
from collections.abc import Sequence

from suite.command_line import DONE, INTERRUPTED, OneLineParser, command_parser
from suite.interrupts import interruptible


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the registry; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        with interruptible():
            _print(options.json, options.markdown)
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


def _print(as_json: bool, as_markdown: bool) -> None:
    from rich.console import Console

    from suite.registry import MODELS
    from suite.registry_table import registry_markdown, registry_rows, registry_table

    if as_json:
        print(json.dumps(registry_rows(MODELS), indent=2, ensure_ascii=False))
    elif as_markdown:
        print(registry_markdown(MODELS))
    else:
        Console().print(registry_table(MODELS))


def parser() -> OneLineParser:
    """The command line that this command understands."""
    parser = command_parser("suite.models", __doc__, "[--json | --markdown]")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="as a list of objects instead of a table")
    forms.add_argument("--markdown", action="store_true", help="as the table of docs/models.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
