"""Build tables, figures and a page from run folders, and from nothing else.

Exit codes: 0 done, 1 the report could not be written, 2 the input is wrong, 130 interrupted.

Examples:
  python -m reports runs/quickstart
  python -m reports runs/one runs/other --out comparison
  python -m reports runs/ablation_quickstart --ablation --out ablation
  python -m reports runs/small runs/large --data-size --out size
"""

import argparse
import sys
from pathlib import Path

from suite.command_line import DONE, FAILED, INTERRUPTED, WRONG_INPUT, command_parser
from suite.interrupts import interruptible


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. One line on standard error says what is wrong."""
    options = parser().parse_args(arguments)
    if options.out is None and len(options.runs) > 1:
        return _fail("--out: expected a folder for the report of several runs, got none", WRONG_INPUT)
    try:
        with interruptible():
            return _build(options)
    except KeyboardInterrupt:
        return INTERRUPTED


def _build(options: argparse.Namespace) -> int:
    from reports.build import build, build_ablation, build_data_size
    from reports.run_folder import ReportError

    try:
        if options.ablation:
            out = build_ablation(options.runs, options.out or options.runs[0] / "ablation_report")
        elif options.data_size:
            out = build_data_size(options.runs, options.out or options.runs[0] / "data_size_report")
        else:
            out = build(options.runs, options.out or options.runs[0] / "report")
    except ReportError as error:
        return _fail(str(error), WRONG_INPUT)
    except OSError as error:
        return _fail(f"the report could not be written: {error}", FAILED)
    print(f"report: {out / 'index.html'}")
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line that this command understands."""
    parser = command_parser("reports", __doc__, "RUN... [--out DIR] [--ablation | --data-size]")
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", type=Path, help="a run folder, such as runs/quickstart"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="where the report goes (default: RUN/report, for one run)"
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--ablation",
        action="store_true",
        help="ablations alone: what each change of the reference did (in RUN/ablation_report)",
    )
    kind.add_argument(
        "--data-size",
        action="store_true",
        help="errors of several runs over the number of their training crystals (data.train_crystals)",
    )
    return parser


def _fail(message: str, code: int) -> int:
    print(f"reports: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
