"""What a trial costs beyond its training: `python -m benchmarks.overhead [--json] [--trials N]`.

| name | unit | meaning |
|---|---|---|
| `trials` | - | tiny trials of one epoch, one at a time |
| `startup_s` | s | from the start of the search to the end of its first trial: Ray, a worker, imports |
| `per_trial_s` | s | wall time per further trial, less what its training and validation took |
| `driver_mb` | MB | largest memory of the process that searches |
| `stock_per_trial_s` | s | the same with Ray Tune as it comes, whose trials do nothing at all |

The search is the whole one, with its study, curves, tables and TensorBoard files; no final runs.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

CRYSTALS = 24
STOCK_TRIALS = 10  # which take seconds each

SPACE = """
name: overhead
data: {dataset: {path: %s}, target: value}
budget: {trials: %d, epochs: 1}
search: {sampler: random, scheduler: none, concurrent: 1}
train: {batch_size: 8, lr: {float: [1.0e-4, 1.0e-2], log: true}}
models: {cgcnn: {node_width: 4, hidden_width: 4, conv_layers: 1}}
final: {seeds: [0]}
"""


def measure(trials: int) -> dict[str, float]:
    """The figures of the module's table; Ray's part runs in processes of their own."""
    with TemporaryDirectory() as name:
        ours = json.loads(_child("--ours", name, str(trials)))
        stock = json.loads(_child("--stock", name, str(STOCK_TRIALS)))
    return {"trials": trials, **ours, **stock}


def measure_ours(folder: Path, trials: int) -> dict[str, float]:
    """A search of `trials` tiny trials in this process."""
    from suite.experiment import Experiment
    from suite.prepare import prepare_data
    from suite.ray_address import stay_on_loopback

    stay_on_loopback(None)
    from suite.ray_driver.driver import run_search, session
    from suite.space.search_space import load_space
    from suite.tasks import trial_task

    space_file = folder / "space.yaml"
    space_file.write_text(SPACE % (_table(folder), trials))
    space = load_space(space_file)
    data = prepare_data(space, folder / "data")
    with Experiment.open(folder / "runs", space, data, "benchmarks.overhead", fresh=False) as experiment:
        ledger = experiment.ledgers["value"]
        started, ends = datetime.now(), _Ends()
        with session(space, None) as fractions, experiment.searching():
            run_search(
                ledger,
                lambda assignment: trial_task(experiment, "value", assignment),
                ends,
                fractions,
                experiment.write_trials,
            )
        trained = [row["seconds"] for row in ledger.rows("value")[1:]]
    assert all(row["state"] == "complete" for row in ledger.rows("value"))
    wall = (ends.times[-1] - ends.times[0]).total_seconds()
    return {
        "startup_s": round((ends.times[0] - started).total_seconds(), 3),
        "per_trial_s": round((wall - sum(trained)) / len(trained), 4),
        "driver_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


class _Ends:
    """A watcher that shows nothing and knows when each trial ended."""

    def __init__(self) -> None:
        self.times: list[datetime] = []

    def ended(self, *arguments: object) -> None:
        self.times.append(datetime.now())

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def measure_stock(folder: Path, trials: int) -> dict[str, float]:
    """Ray Tune with its defaults; a trial reports one number and ends."""
    import ray
    from ray import tune

    def trial(config: dict) -> None:
        tune.report({"loss": config["x"]})

    ray.init(address="local", include_dashboard=False, log_to_driver=False, num_cpus=os.cpu_count())
    ends: list[float] = []

    class Ends(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list, trial: object, **info: object) -> None:
            ends.append(time.monotonic())

    tune.Tuner(
        trial,
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(num_samples=trials, max_concurrent_trials=1),
        run_config=tune.RunConfig(storage_path=str(folder / "stock"), verbose=0, callbacks=[Ends()]),
    ).fit()
    ray.shutdown()
    return {"stock_per_trial_s": round((ends[-1] - ends[0]) / (len(ends) - 1), 3)}


def _table(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    path = folder / "tiny.jsonl"
    rows = [
        {
            "id": f"tiny-{n}",
            "species": [3, 8],
            "lattice": (4 * np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3))).tolist(),
            "frac": [[0, 0, 0], [0.5, 0.5, 0.5]],
            "targets": {"value": float(rng.normal())},
        }
        for n in range(CRYSTALS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _child(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.overhead", *arguments]
    environment = {**os.environ, "RAY_AIR_NEW_OUTPUT": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or done.stdout.strip())
    return done.stdout.strip().splitlines()[-1]


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--trials", type=int, default=60, help="of the search (default: 60)")
    for part in ("--ours", "--stock"):
        parser.add_argument(part, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.ours:
        result = measure_ours(Path(options.ours[0]), int(options.ours[1]))
    elif options.stock:
        result = measure_stock(Path(options.stock[0]), int(options.stock[1]))
    else:
        result = measure(options.trials)
    if options.json or options.ours or options.stock:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:18} {value}")


if __name__ == "__main__":
    main()
