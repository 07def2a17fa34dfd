"""Show where a measured error comes from, and compute it again from the predictions.

Of one cell of a run's table, or of all measured cells of all tables of a report (--all). Says that
everything agrees, or shows both values of what does not.
Exit codes: 0 everything agrees, 1 something does not, 2 the input is wrong, 130 interrupted.

Examples:
  python -m reports.trace runs/quickstart --model cgcnn --target log10_K_VRH
  python -m reports.trace runs/quickstart --all
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from suite.command_line import DONE, FAILED, INTERRUPTED, WRONG_INPUT, command_parser
from suite.interrupts import interruptible

if TYPE_CHECKING:
    from reports.chain import Link

USAGE = "RUN --model M --target T [--seed S]\nRUN... --all [--report DIR]"
MOST_SHOWN = 20  # cells that disagree


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    command_line = parser()
    options = command_line.parse_args(arguments)
    one_cell = len(options.runs) == 1 and options.report is None and options.model and options.target
    if not (options.all or one_cell):
        command_line.error("expected one RUN with --model and --target, or --all for every table of a report")
    try:
        with interruptible():
            return _trace(options)
    except KeyboardInterrupt:
        return INTERRUPTED


def _trace(options: argparse.Namespace) -> int:
    from reports.run_folder import ReportError

    try:
        if options.all:
            return _all(options.runs, options.report or options.runs[0] / "report")
        return _one(options)
    except ReportError as error:
        print(f"reports.trace: {error}", file=sys.stderr)
        return WRONG_INPUT


def _one(options: argparse.Namespace) -> int:
    """The chain of one cell; the exit code."""
    from reports.cell import select
    from reports.chain import measured_links
    from reports.origin import origin_links
    from reports.run_folder import read_run_folder

    folder = read_run_folder(options.runs[0], believe=False)
    traced = select(folder, options.model, options.target, options.seed)
    links = measured_links(traced) + origin_links(traced)
    print(text(links))
    return DONE if all(check.agrees for link in links for check in link.checks) else FAILED


def _all(runs: list[Path], report: Path) -> int:
    """Every measured cell of a report; the exit code."""
    from reports.recompute.tables import recompute

    tables = recompute(runs, report)
    wrong = [check for table in tables for check in table.checks if not check.agrees]
    for table in tables:
        print(f"{table.name:<25}{table.rows:>7,} rows, {len(table.checks):,} cells computed again")
    for check in wrong[:MOST_SHOWN]:
        print(f"DISAGREES  {check.sentence}")
    if len(wrong) > MOST_SHOWN:
        print(f"and {len(wrong) - MOST_SHOWN:,} further cells")
    if not wrong:
        print("agrees")
    return FAILED if wrong else DONE


def parser() -> argparse.ArgumentParser:
    """The command line that this command understands."""
    parser = command_parser("reports.trace", __doc__, USAGE)
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", type=Path, help="a run folder, such as runs/quickstart"
    )
    parser.add_argument("--model", metavar="M", help="a model or floor, such as cgcnn")
    parser.add_argument("--target", metavar="T", help="a target, such as log10_K_VRH")
    parser.add_argument("--seed", metavar="S", type=int, help="this seed's run alone (default: all seeds)")
    parser.add_argument("--all", action="store_true", help="every measured cell of every table of the report")
    parser.add_argument(
        "--report", metavar="DIR", type=Path, help="with --all: its folder (default: RUN/report)"
    )
    return parser


def text(links: "list[Link]") -> str:
    """The chain and its verdict, as printed."""
    lines = [
        f"{link.name if index == 0 else '':<17}{line}"
        for link in links
        for index, line in enumerate(link.lines or ("nothing found",))
    ]
    checks = [check for link in links for check in link.checks]
    wrong = [check for check in checks if not check.agrees]
    if wrong:
        lines += [
            f"{'DISAGREES' if index == 0 else '':<17}{check.sentence}" for index, check in enumerate(wrong)
        ]
    else:
        lines.append(f"{'agrees':<17}{len(checks)} comparisons, none differs")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
