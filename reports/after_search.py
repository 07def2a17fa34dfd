"""`python -m reports.after_search RUN`: the report of a search and pictures of its final runs, which share
what takes long to import.
"""

import sys
from pathlib import Path

from reports.__main__ import main as build
from suite.command_line import DONE, FAILED, WRONG_INPUT


def main(arguments: list[str]) -> int:
    """Exit codes: 0 done, 1 a file could not be written, 2 the input is wrong."""
    if len(arguments) != 1:
        print(f"reports.after_search: expected one run folder, got {len(arguments)}", file=sys.stderr)
        return WRONG_INPUT
    if code := build(arguments):
        return code
    from reports.final_pictures import draw_finals

    try:
        draw_finals(Path(arguments[0]))
    except OSError as error:
        print(f"reports.after_search: a picture could not be written: {error}", file=sys.stderr)
        return FAILED
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
