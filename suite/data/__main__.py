"""The data sets known by name, and your own: list, say all of one, prepare, verify, audit.

Exit codes: 0 done, 1 not to be had or damaged, 2 the input is wrong, 130 interrupted and resumable.

Examples:
  python -m suite.data list
  python -m suite.data info mp-2018.6.1
  python -m suite.data prepare jarvis-dft-3d-2021 --from jdft_3d-8-18-2021.json.zip
  python -m suite.data audit my.csv
"""

import argparse
import json
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from rich.console import Console

from crystalformer.data.catalog import DATASETS, Dataset
from crystalformer.data.cell_names import AS_GIVEN, CELLS
from suite.command_line import DONE, FAILED, INTERRUPTED, WRONG_INPUT, OneLineParser, command_parser
from suite.interrupts import interruptible

CELL_NAMES = f"{', '.join(CELLS)} (default: {AS_GIVEN})"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    options = parser().parse_args(arguments)
    console, errors = Console(), Console(stderr=True)
    try:
        with interruptible():
            return options.run(options, console, errors)
    except KeyboardInterrupt:
        _say(errors, "interrupted; the same command goes on")
        return INTERRUPTED
    except ValueError as error:
        _say(errors, str(error))
        return WRONG_INPUT


def _list(options: argparse.Namespace, console: Console, errors: Console) -> int:
    from suite.data.listing import markdown, rows, table

    if options.markdown:
        print(markdown(DATASETS.values()))
    elif options.json:
        print(json.dumps(rows(DATASETS.values(), options.data), indent=2, ensure_ascii=False))
    else:
        console.print(table(DATASETS.values(), options.data))
    return DONE


def _info(options: argparse.Namespace, console: Console, errors: Console) -> int:
    from suite.data.listing import rows
    from suite.data.page import page

    dataset = _named(options.name)
    if options.json:
        print(json.dumps(rows([dataset], options.data)[0], indent=2, ensure_ascii=False))
    else:
        console.print(page(dataset, options.data))
    return DONE


def _prepare(options: argparse.Namespace, console: Console, errors: Console) -> int:
    from crystalformer.sources.published.files import Unobtainable
    from crystalformer.sources.rejections import summary
    from suite.data.actions import prepare_named
    from suite.data.hints import by_hand

    given = options.from_ or []
    try:
        converted = prepare_named(
            options.name,
            given,
            options.target or (),
            options.data,
            options.max_rejected,
            options.cell,
            console,
        )
    except Unobtainable as error:
        _say(errors, f"{error}\n{by_hand(error.dataset, error.files, options.data)}")
        return FAILED
    store = converted.store
    _say(console, f"{store.path}: {len(store):,} crystals, {len(store.numbers):,} atoms")
    for name, unit in store.units.items():
        _say(console, f"  {name} ({unit or 'unit not known'})")
    if converted.report is not None:
        _say(console, f"rejected, all listed in {converted.report}:")
        for line in summary(converted.rejections):
            _say(console, line)
    return DONE


def _verify(options: argparse.Namespace, console: Console, errors: Console) -> int:
    from suite.data.actions import faults

    dataset = _named(options.name)
    found = list(faults(dataset, options.data))
    for line in found:
        _say(errors, line)
    if found:
        return FAILED
    _say(console, f"{dataset.name}: all that is here is as it should be")
    return DONE


def _audit(options: argparse.Namespace, console: Console, errors: Console) -> int:
    from suite.data.audit import audit
    from suite.data.audit_tables import page

    found = audit(options.name, options.data, options.split, options.cell, options.sd)
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        console.print(page(found))
    return DONE


def _named(name: str) -> Dataset:
    if name not in DATASETS:
        close = get_close_matches(name, DATASETS, n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"data set: expected one of {', '.join(DATASETS)}, got {name!r}{hint}")
    return DATASETS[name]


def parser() -> argparse.ArgumentParser:
    """The command line that this command understands."""
    parser = command_parser("suite.data", __doc__, "COMMAND ...")
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", title="commands (each has a --help)", prog="python -m suite.data"
    )
    shared = OneLineParser(add_help=False)
    shared.add_argument(
        "--data", type=Path, default=Path("data"), metavar="DIR", help="prepared data sets (default: data)"
    )
    objects = OneLineParser(add_help=False)
    objects.add_argument("--json", action="store_true", help="as objects instead of a table")
    listed = commands.add_parser("list", parents=[shared, objects], help="every data set in a row")
    listed.add_argument("--markdown", action="store_true", help="as the tables of docs/datasets.md")
    listed.set_defaults(run=_list)
    info = commands.add_parser("info", parents=[shared, objects], help="all that is known of a data set")
    info.add_argument("name", help="of the data set")
    info.set_defaults(run=_info)
    prepare = commands.add_parser("prepare", parents=[shared], help="download and convert a data set")
    prepare.add_argument("name", help="of the data set, or the path of your own")
    prepare.add_argument(
        "--from",
        dest="from_",
        type=Path,
        action="append",
        metavar="FILE",
        help="take a file, or a folder of files, that was copied by hand; repeatable",
    )
    prepare.add_argument(
        "--target", metavar="T", action="append", help="get only the files that give this target; repeatable"
    )
    prepare.add_argument(
        "--max-rejected", type=int, default=0, metavar="N", help="unreadable crystals allowed (default: 0)"
    )
    prepare.add_argument(
        "--cell", metavar="CELL", choices=CELLS, default=AS_GIVEN, help=f"which cell is stored: {CELL_NAMES}"
    )
    prepare.set_defaults(run=_prepare)
    verify = commands.add_parser("verify", parents=[shared], help="check the files and stores that are here")
    verify.add_argument("name", help="of the data set")
    verify.set_defaults(run=_verify)
    audited = commands.add_parser("audit", parents=[shared, objects], help="what is in it, and may be wrong")
    audited.add_argument("name", help="of the data set, or the path of your own")
    audited.add_argument(
        "--split",
        metavar="RULE",
        help="as data.split (default: published, labels of the table, or fractions)",
    )
    audited.add_argument(
        "--cell", metavar="CELL", choices=CELLS, default=AS_GIVEN, help=f"which cell: {CELL_NAMES}"
    )
    audited.add_argument(
        "--sd",
        metavar="N",
        type=float,
        default=5.0,
        help="an outlier is further from the mean (default: 5)",
    )
    audited.set_defaults(run=_audit)
    return parser


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
