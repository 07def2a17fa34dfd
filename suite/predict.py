"""Predict properties of crystals with a trained model: value, unit, uncertainty.

Exit codes: 0 done, 1 some crystals have no prediction, 2 the input is wrong, 130 interrupted.

Examples:
  python -m suite.predict mp-moduli my.cif POSCAR folder/
  python -m suite.predict runs/quickstart crystals.jsonl --csv out.csv
  python -m suite.predict runs/quickstart table.csv --model cgcnn --csv - | head
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from suite.command_line import DONE, FAILED, INTERRUPTED, WRONG_INPUT, command_parser
from suite.interrupts import ended_at_once, interruptible

if TYPE_CHECKING:
    from suite.prediction.output import Output
    from suite.prediction.predictor import Predictor


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        with interruptible():
            return _list() if options.list else _run(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _run(options: argparse.Namespace) -> int:
    try:
        if options.run is None or not options.files:
            raise ValueError("expected a model (--list names those that come with the package) and files")
        with ended_at_once():
            from suite.prediction.locate import load

            predictor = load(options.run, options.model)
    except ValueError as error:
        return _wrong(str(error))
    from suite.prediction.output import csv_output, text_output

    try:
        with _opened(options.csv) as file:
            output = text_output(file) if options.csv is None else csv_output(file)
            return _predict(predictor, options.files, output, file, options.csv)
    except FileNotFoundError as error:
        return _wrong(f"--csv {options.csv}: expected a file in a folder that exists, got {error.strerror}")
    except (PermissionError, IsADirectoryError) as error:
        return _wrong(f"--csv {options.csv}: expected a file to write to, got {error.strerror}")


def _predict(
    predictor: "Predictor", paths: Sequence[Path], output: "Output", file: TextIO, csv: str | None
) -> int:
    """Batch after batch; in the end says how many there were, where the output itself does not show it."""
    from suite.prediction.inputs import crystals_of
    from suite.prediction.network import BATCH

    file.flush()
    started, crystals, failed = time.monotonic(), 0, 0
    found = (item for path in paths for item in crystals_of(path))
    while batch := list(islice(found, BATCH)):
        with nullcontext() if crystals else ended_at_once():  # the first answer compiles the model's loops
            answers = predictor.answer([item for _, item in batch])
        for (path, _), predictions in zip(batch, answers, strict=True):
            output(path, predictions)
            failed += any(prediction.error for prediction in predictions)
        file.flush()
        crystals += len(batch)
    if csv not in (None, "-"):
        rate = 60 * crystals / (time.monotonic() - started)
        print(f"{csv}: {crystals:,} crystals, {failed:,} without prediction, {rate:,.0f} per minute")
    return FAILED if failed else DONE


def _list() -> int:
    """The models that come with the package, one line for each of their targets."""
    from suite.prediction.exported import read_saved
    from suite.prediction.locate import PRETRAINED, pretrained

    for name in pretrained():
        for saved in read_saved(PRETRAINED / name):
            error = saved.about["errors"]["test"]["mae"]
            print(f"{name}  {saved.target}  test MAE {error:.4f} {saved.unit or ''}  ({saved.model})")
    return DONE


@contextmanager
def _opened(csv: str | None) -> Iterator[TextIO]:
    if csv in (None, "-"):
        yield sys.stdout
    else:
        with Path(str(csv)).open("w", newline="", encoding="utf-8") as file:
            yield file


def _wrong(message: str) -> int:
    print(f"suite.predict: {message}", file=sys.stderr)
    return WRONG_INPUT


def parser() -> argparse.ArgumentParser:
    """The command line that this command understands."""
    parser = command_parser("suite.predict", __doc__, "MODEL FILE... [--csv OUT] [--model M]\n--list")
    parser.add_argument(
        "run", metavar="MODEL", nargs="?", help="a run (runs/<name>), an exported folder or a name of --list"
    )
    parser.add_argument(
        "files", metavar="FILE", nargs="*", type=Path,
        help="CIF, POSCAR, a table (CSV, JSON, ...) or a folder of them",
    )  # fmt: skip
    parser.add_argument(
        "--csv",
        metavar="OUT",
        help="write a CSV with a row per crystal and target; - writes it to the terminal",
    )
    parser.add_argument(
        "--model", metavar="M", help="predict with this model of the run, not with the best on validation"
    )
    parser.add_argument("--list", action="store_true", help="list the models that come with the package")
    return parser


if __name__ == "__main__":
    sys.exit(main())
