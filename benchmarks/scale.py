"""What a long search costs its driver: `python -m benchmarks.scale [--json] [--trials N] [--epochs N]`.

| name | unit | meaning |
|---|---|---|
| `trials`, `epochs` | - | recorded trials, and the epochs of each |
| `load_s` | s | opening the study, the ledger with all curves, and the rows of `trials.parquet` |
| `load_cpu_s` | s | the same in time of the processor, which other work does not lengthen |
| `driver_mb` | MB | growth of the process by that |
| `table_s` | s | writing `trials.parquet` |
| `propose_s` | s | the first proposal of TPE after opening, with all trials as its history |
| `propose_cpu_s` | s | the following five, median, in time of the processor |
| `record_ms` | ms | recording a trial with all of its epochs, from start to end |
| `study_mb`, `table_mb` | MB | sizes of the two files |

The study is SQLite's; each trial has eight searched parameters.
"""

import argparse
import json
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suite.ledger import TrialLedger

BY_HAND = 50  # trials that are recorded one by one; the others are copies of theirs
MORE = 5  # proposals after the first

SPACE = """
name: scale
data: {dataset: mp-elastic-2015, target: log10_K_VRH}
budget: {trials: %d, epochs: %d}
search: {sampler: %s}
train: {batch_size: {choices: [32, 64, 128]}, lr: {float: [1.0e-4, 1.0e-2], log: true}}
models:
  crystalformer:
    num_layers: {int: [1, 7]}
    r0: {float: [0.7, 2.8]}
    a: {float: [0.01, 1.0], log: true}
    lattice_range: {choices: [1, 2, adaptive]}
    value_basis: {int: [16, 128], step: 16}
    swa_epochs: {int: [0, 20]}
final: {seeds: [0]}
"""


def measure(trials: int, epochs: int) -> dict[str, float]:
    """The figures of the module's table; recording and loading in processes of their own."""
    with TemporaryDirectory() as name:
        return {
            "trials": trials,
            "epochs": epochs,
            **_child("--record", name, trials, epochs),
            **_child("--load", name, trials, epochs),
        }


def record(folder: Path, trials: int, epochs: int) -> dict[str, float]:
    """Record some trials as a search does, and copy them until there are enough."""
    by_hand = min(trials, BY_HAND)
    rng, ledger = random.Random(0), _ledger(folder, by_hand, epochs, "random")
    config = json.dumps(
        {"model": {f"setting_{n}": n for n in range(20)}, "train": dict.fromkeys("abcdefgh", 0.1)}
    )
    started = time.perf_counter()
    while assignment := ledger.next():
        value = rng.uniform(0.05, 0.2)
        for epoch in range(1, epochs + 1):
            value *= rng.uniform(0.97, 1.01)
            ledger.report(assignment.number, epoch, value, float(epoch))
        result = {"epochs": epochs, "val_mae": value, "val_mae_raw": value, "seconds": 100.0}
        ledger.finish(
            assignment.number, "complete", "trained", {**result, "parameters": 853505, "config": config}
        )
    seconds = time.perf_counter() - started
    with sqlite3.connect(folder / "study.db") as database:
        for first in range(by_hand, trials, by_hand):
            _copy(database, first, min(by_hand, trials - first))
    return {"record_ms": round(1000 * seconds / by_hand, 2)}


def _copy(database: sqlite3.Connection, first: int, count: int) -> None:
    """The first `count` trials of a study once more, from number `first` on."""
    tables = ("trials", "trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes")
    for table in tables:
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        key, trial = columns[0], columns.index("trial_id")
        highest = database.execute(f"SELECT max({key}) FROM {table}").fetchone()[0]
        rows = database.execute(
            f"SELECT * FROM {table} WHERE trial_id <= ? ORDER BY {key}", [count]
        ).fetchall()
        for place, values in enumerate(rows, 1):
            row = list(values)
            row[trial] += first
            row[0] = row[trial] if table == "trials" else highest + place
            if table == "trials":
                row[columns.index("number")] += first
            elif "assignment" in row:
                assignment = json.loads(json.loads(row[-1]))
                number = assignment["number"] + first
                assignment |= {"number": number, "trial_id": f"t{number:04d}"}
                row[-1] = json.dumps(json.dumps(assignment))
            database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def load(folder: Path, trials: int, epochs: int) -> dict[str, float]:
    """Open the record as a later session does, with some more trials to come."""
    from suite.records import write_table

    _ledger(folder / "warm", 1, epochs, "tpe")  # imports and first use are not the record's
    memory, started, cpu = _memory_mb(), time.perf_counter(), time.process_time()
    ledger = _ledger(folder, trials + 1 + MORE, epochs, "tpe")
    rows = ledger.rows("log10_K_VRH")
    loaded, grown, cpu = time.perf_counter(), _memory_mb() - memory, time.process_time() - cpu
    write_table(folder / "trials.parquet", rows)
    written = time.perf_counter()
    assert len(rows) == trials
    assert ledger.next() is not None
    proposed, following = time.perf_counter(), []
    for _ in range(MORE):
        before = time.process_time()
        assert ledger.next() is not None
        following.append(time.process_time() - before)
    return {
        "load_s": round(loaded - started, 3),
        "load_cpu_s": round(cpu, 3),
        "driver_mb": round(grown, 1),
        "table_s": round(written - loaded, 3),
        "propose_s": round(proposed - written, 3),
        "propose_cpu_s": round(statistics.median(following), 3),
        "study_mb": round((folder / "study.db").stat().st_size / 1e6, 1),
        "table_mb": round((folder / "trials.parquet").stat().st_size / 1e6, 2),
    }


def _ledger(folder: Path, trials: int, epochs: int, sampler: str) -> "TrialLedger":
    from suite.ledger import TrialLedger
    from suite.space.search_space import load_space
    from suite.storage import open_storage
    from suite.storage_url import DEFAULT

    folder.mkdir(exist_ok=True)
    file = folder / "space.yaml"
    file.write_text(SPACE % (trials, epochs, sampler))
    return TrialLedger(open_storage(DEFAULT, folder), "scale", load_space(file))


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _child(part: str, folder: str, trials: int, epochs: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scale", part, folder]
    command += ["--trials", str(trials), "--epochs", str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--trials", type=int, default=5000, help="recorded (default: 5000)")
    parser.add_argument("--epochs", type=int, default=100, help="of each (default: 100)")
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.record:
        result = record(options.record, options.trials, options.epochs)
    elif options.load:
        result = load(options.load, options.trials, options.epochs)
    else:
        result = measure(options.trials, options.epochs)
    if options.json or options.record or options.load:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:12} {value}")


if __name__ == "__main__":
    main()
