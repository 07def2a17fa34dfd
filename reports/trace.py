"""`python -m reports.trace RUN --model M --target T [--seed S]`: where a measured cell comes from.

Prints the chain of the cell (see `chain` and `origin`), computes it again, and says *agrees* or shows both
values of whatever does not. `python -m reports.trace RUN [RUN ...] --all` computes every measured cell of
every table of a report again (see `recompute`).
"""

import argparse
import sys
from difflib import get_close_matches
from pathlib import Path

from reports.chain import Link, Traced, measured_links
from reports.origin import origin_links
from reports.recompute.tables import recompute
from reports.run_folder import ReportError, RunFolder, read_run_folder

MOST_SHOWN = 20  # cells that disagree


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 everything agrees, 1 something does not, 2 the input is wrong."""
    command_line = parser()
    options = command_line.parse_args(arguments)
    if options.all:
        return _all(options.runs, options.report or options.runs[0] / "report")
    if len(options.runs) > 1 or options.report is not None or not (options.model and options.target):
        command_line.error("expected one RUN with --model and --target, or --all for every table of a report")
    try:
        folder = read_run_folder(options.runs[0], believe=False)
        traced = select(folder, options.model, options.target, options.seed)
        links = measured_links(traced) + origin_links(traced)
    except ReportError as error:
        print(f"reports.trace: {error}", file=sys.stderr)
        return 2
    print(text(links))
    return 0 if all(check.agrees for link in links for check in link.checks) else 1


def _all(runs: list[Path], report: Path) -> int:
    """What `--all` does; the exit code."""
    try:
        tables = recompute(runs, report)
    except ReportError as error:
        print(f"reports.trace: {error}", file=sys.stderr)
        return 2
    wrong = [check for table in tables for check in table.checks if not check.agrees]
    for table in tables:
        print(f"{table.name:<25}{table.rows:>7,} rows, {len(table.checks):,} cells computed again")
    for check in wrong[:MOST_SHOWN]:
        print(f"DISAGREES  {check.sentence}")
    if len(wrong) > MOST_SHOWN:
        print(f"and {len(wrong) - MOST_SHOWN:,} further cells")
    if not wrong:
        print("agrees")
    return 1 if wrong else 0


def parser() -> argparse.ArgumentParser:
    """The command line that this command understands."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.trace",
        description="Show where a measured error comes from, and compute it again from the predictions.",
    )
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


def select(folder: RunFolder, model: str, target: str, seed: int | None = None) -> Traced:
    """The runs behind a cell: those of the configuration that validation chose, in order of their seeds.

    Raises:
        ReportError: the folder has no such model, target or seed; the message names the closest.
    """
    _known("--target", target, folder.targets)
    _known("--model", model, (*folder.search["models"], *folder.floors))
    finals = sorted(
        (
            final
            for final in folder.finals
            if (final.record["model"], final.record["target"], final.record["rank"]) == (model, target, 1)
        ),
        key=lambda final: int(final.record["seed"]),
    )
    if not finals:
        raise ReportError(
            f"{folder.path}: {model} has no complete final run for {target}, so no cell to trace"
        )
    if seed is not None:
        seeds = [str(final.record["seed"]) for final in finals]
        _known("--seed", str(seed), tuple(seeds))
        finals = [finals[seeds.index(str(seed))]]
    return Traced(folder, tuple(finals))


def _known(option: str, value: str, names: tuple[str, ...]) -> None:
    if value not in names:
        close = get_close_matches(value, names, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ReportError(f"{option}: expected one of {', '.join(names)}, got {value!r}{hint}")


def text(links: list[Link]) -> str:
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
