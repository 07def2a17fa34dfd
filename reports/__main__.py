"""`python -m reports RUN [RUN ...] [--out DIR]`: builds a report from run folders; see `reports.build`."""

import argparse
import sys
from pathlib import Path

from reports.build import build, build_ablation, build_data_size
from reports.run_folder import ReportError


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 the report could not be written, 2 the input is wrong. One line on standard
    error says why.
    """
    options = parser().parse_args(arguments)
    if options.out is None and len(options.runs) > 1:
        return _fail("--out: expected a folder for the report of several runs, got none", 2)
    try:
        if options.ablation:
            out = build_ablation(options.runs, options.out or options.runs[0] / "ablation_report")
        elif options.data_size:
            out = build_data_size(options.runs, options.out or options.runs[0] / "data_size_report")
        else:
            out = build(options.runs, options.out or options.runs[0] / "report")
    except ReportError as error:
        return _fail(str(error), 2)
    except OSError as error:
        return _fail(f"the report could not be written: {error}", 1)
    print(f"report: {out / 'index.html'}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line that this command understands."""
    parser = argparse.ArgumentParser(
        prog="python -m reports",
        description="Build tables, figures and a page from run folders, and from nothing else.",
    )
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
        help="the report of ablations alone: what each change of the reference did (default DIR: "
        "RUN/ablation_report)",
    )
    kind.add_argument(
        "--data-size",
        action="store_true",
        help="the errors of several runs over the number of their training crystals, which they differ in "
        "(data.train_crystals)",
    )
    return parser


def _fail(message: str, code: int) -> int:
    print(f"reports: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
