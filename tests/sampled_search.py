"""A search whose running trials are sampled at every result: `python sampled_search.py SPACE FOLDER ADDRESS`.

Prints a JSON list of samples; each is a list of (trial, host and GPUs as Ray told its worker, part of a GPU).
No trial passes its second epoch before three are there, however slowly their processes start.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from suite.experiment import Experiment
from suite.prepare import prepare_data
from suite.ray_driver.actor import TrialActor
from suite.ray_driver.driver import run_search, session
from suite.ray_driver.searcher import LedgerSearcher
from suite.space.search_space import load_space
from suite.tasks import trial_task

COMPANY = 3
PATIENCE_S = 300

running: dict[str, tuple[str, str, float]] = {}
samples: list[list[tuple[str, str, float]]] = []


class Silence:
    """A watcher that shows nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *args: None


class Sampled(LedgerSearcher):
    """Notes where trials are while they run."""

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        running[trial_id] = (trial_id, result["place"], result["config/gpu"])
        samples.append(list(running.values()))
        super().on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        running.pop(trial_id, None)
        super().on_trial_complete(trial_id, result, error)


class Gregarious(TrialActor):
    """Waits in its second epoch, for which Tune asks once it has the result of the first, for others."""

    def step(self) -> dict[str, Any]:
        """See `TrialActor.step`."""
        if self.iteration == 1:
            folder = Path(self._task.folder)
            there = folder.parents[1] / "there"
            there.mkdir(exist_ok=True)
            (there / folder.name).touch()
            until = time.monotonic() + PATIENCE_S
            while len(list(there.iterdir())) < COMPANY and time.monotonic() < until:
                time.sleep(0.05)
        return super().step()


def main(space_file: Path, folder: Path, address: str) -> None:
    """Search and print."""
    import suite.ray_driver.driver as driver

    driver.LedgerSearcher = Sampled  # type: ignore[misc]
    driver.TrialActor = Gregarious  # type: ignore[misc]
    space = load_space(space_file)
    data = prepare_data(space, folder / "data")
    with Experiment.open(folder / "runs", space, data, "sampled", fresh=False) as experiment:
        [(target, ledger)] = experiment.ledgers.items()
        with session(space, address) as fractions, experiment.searching():
            run_search(
                ledger,
                lambda assignment: trial_task(experiment, target, assignment),
                Silence(),
                fractions,
                experiment.write_trials,
            )
    print(json.dumps(samples))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
