"""`python -m reports.publish RUN --out results/NAME`: a run folder as it is committed.

Copied are the search space, the record of the search, the trials, the crystals, and of each final run its
record, curve, predictions and reads of the test split; weights of the models named by `--weights` alone.
Absolute paths are cut to their last part, host names and addresses are replaced, the command is written so
that others can give it. The tables of the report are built from the copy, every cell of them is computed
again, and only then does the folder appear.
"""

import argparse
import os
import shutil
import socket
import sys
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any

import pandas as pd

from reports.anonymous import anonymous, repeatable
from reports.load import Results, load
from reports.recompute.tables import recompute
from reports.run_folder import ReportError, RunFolder, read_run_folder
from reports.table_files import table_files
from suite.space.node import SpaceError
from suite.space.yaml_file import read_space

MOST_WEIGHTS = 4_000_000  # bytes of a file of weights
FINAL_FILES = ("curve.csv", "predictions.parquet", "test_reads.jsonl")
WEIGHTS = "model.safetensors"


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 the folder could not be written, 2 the run is not fit or the input is wrong."""
    options = parser().parse_args(arguments)
    try:
        publish(options.run, options.out, tuple(options.weights), options.unfinished, options.dirty)
    except ReportError as error:
        return _fail(str(error), 2)
    except OSError as error:
        return _fail(f"the results could not be written: {error}", 1)
    size = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(f"results: {options.out}, {size / 1e6:.2f} MB; next: python -m reports.tables")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line that this command understands."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.publish", description="Copy what is committed of a run folder."
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run folder, such as runs/quickstart")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="such as results/quickstart")
    parser.add_argument(
        "--weights", metavar="MODEL", action="append", default=[],
        help=f"copy the weights of this model's chosen runs too, at most {MOST_WEIGHTS / 1e6:g} MB each",
    )  # fmt: skip
    parser.add_argument("--unfinished", action="store_true", help="also where runs or seeds are missing")
    parser.add_argument("--dirty", action="store_true", help="also where code was not committed")
    return parser


def _fail(message: str, code: int) -> int:
    print(f"reports.publish: {message}", file=sys.stderr)
    return code


def publish(
    run: Path, out: Path, weights: tuple[str, ...] = (), unfinished: bool = False, dirty: bool = False
) -> Path:
    """Writes the folder `out` and returns it; an earlier publication there is replaced.

    Raises:
        ReportError: the run is not finished or comes from uncommitted code, unless allowed; its search space
            needs files of another folder; a model has no weights or too large ones; `out` holds something
            else; or a cell does not recompute from the copy.
    """
    results = load([run])
    (folder,) = results.folders.values()
    _check_fit(results, folder, unfinished, dirty)
    _check_repeatable(folder)
    _check_replaceable(out)
    fresh = out.absolute().with_name(f".{out.name}.{os.getpid()}.new")
    try:
        _copy(folder, fresh, out, weights)
        write_tables(fresh)
        _check_cells(fresh)
        if out.exists():
            shutil.rmtree(out)
        fresh.rename(out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return out


def write_tables(folder: Path) -> None:
    """Writes the tables of one published run folder into its `report`."""
    (folder / "report").mkdir(parents=True, exist_ok=True)
    for name, text in table_files([read_run_folder(folder)]).items():
        (folder / "report" / name).write_text(text, encoding="utf-8")


def _check_fit(results: Results, folder: RunFolder, unfinished: bool, dirty: bool) -> None:
    status = folder.search["status"]
    gaps = [f"{gap.label}, {gap.target}: {len(gap.seeds)} of {gap.expected} seeds" for gap in results.missing]
    if not unfinished and (status != "finished" or gaps):
        missing = f", without a final run of {'; '.join(gaps)}" if gaps else ""
        raise ReportError(
            f"{folder.path}: expected a finished search, got one that is {status}{missing}; go on with it by "
            "the same command, or publish it as it is with --unfinished"
        )
    records = [folder.search, *(final.record for final in folder.finals)]
    states = [(record.get("provenance") or {}).get("dirty") for record in records]
    if not dirty and any(state is not False for state in states):
        raise ReportError(
            f"{folder.path}: expected runs of committed code, got {sum(s is not False for s in states)} of "
            f"{len(states)} records with uncommitted changes or without a commit; run again from a clean "
            "checkout, or publish it as it is with --dirty"
        )


def _check_repeatable(folder: RunFolder) -> None:
    """The command that is printed beside the numbers reads the space from where it is published."""
    try:
        read_space(folder.path / "space.yaml")
    except SpaceError as error:
        raise ReportError(f"expected a search space that needs no other file, got {error}") from error


def _check_replaceable(out: Path) -> None:
    if out.exists() and not (out / "search.json").is_file():
        raise ReportError(f"{out}: holds something else than results; expected a new or published folder")


def _copy(folder: RunFolder, fresh: Path, out: Path, weights: tuple[str, ...]) -> None:
    hosts = tuple(name for name in {socket.gethostname(), socket.getfqdn()} if len(name) > 3)
    fresh.mkdir(parents=True)
    _write_json(fresh / "search.json", _search(folder, out, hosts))
    (fresh / "space.yaml").write_text(anonymous(folder.space, hosts), encoding="utf-8")
    trials = folder.path / "trials.parquet"
    if trials.is_file():
        table = pd.read_parquet(trials)
        texts = table.select_dtypes(exclude="number").columns
        table[texts] = table[texts].map(lambda value: anonymous(value, hosts))
        table.to_parquet(fresh / "trials.parquet", index=False)
    crystals = folder.path / "crystals.parquet"
    if crystals.is_file():
        shutil.copyfile(crystals, fresh / "crystals.parquet")
    copied = set()
    for final in folder.finals:
        record = final.record
        here, there = folder.path / "final" / record["run_id"], fresh / "final" / record["run_id"]
        there.mkdir(parents=True)
        _write_json(there / "run.json", anonymous(record, hosts))
        for name in FINAL_FILES:
            if (here / name).is_file():
                shutil.copyfile(here / name, there / name)
        if record["model"] in weights and record["rank"] == 1:
            _copy_weights(here, there)
            copied.add(record["model"])
    if strange := sorted(set(weights) - copied):
        raise ReportError(f"--weights {strange[0]}: expected a model with final runs, got none of that name")


def _copy_weights(here: Path, there: Path) -> None:
    path = here / WEIGHTS
    size = path.stat().st_size if path.is_file() else None
    if size is None or size > MOST_WEIGHTS:
        got = "no such file" if size is None else f"{size / 1e6:.1f} MB"
        raise ReportError(f"{path}: expected weights of at most {MOST_WEIGHTS / 1e6:g} MB, got {got}")
    shutil.copyfile(path, there / WEIGHTS)


def _search(folder: RunFolder, out: Path, hosts: tuple[str, ...]) -> dict[str, Any]:
    """The record of the search. Where a path in its space is cut, the digest is that of what is left."""
    record = anonymous(folder.search, hosts)
    if record.get("command"):
        place = out.absolute()
        place = place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else out
        record["command"] = repeatable(str(folder.search["command"]), f"{place.as_posix()}/space.yaml")
        record["command"] = anonymous(record["command"], hosts)
    space = folder.search.get("space")
    if space is not None and record["space"] != space:
        digest = sha256(dumps(record["space"], sort_keys=True).encode()).hexdigest()
        record |= {"space_digest": digest, "space_digest_with_paths": folder.search.get("space_digest")}
    return record | {"published": True}


def _write_json(path: Path, record: dict[str, Any]) -> None:
    path.write_text(dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _check_cells(fresh: Path) -> None:
    wrong = [
        check for table in recompute([fresh], fresh / "report") for check in table.checks if not check.agrees
    ]
    if wrong:
        raise ReportError(
            f"{len(wrong)} cells do not agree with the copied files; the first is {wrong[0].sentence}"
        )


if __name__ == "__main__":
    sys.exit(main())
