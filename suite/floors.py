"""The floors of a table: the training mean and a forest of compositions, on the same splits as the models.

A floor is a final run without a trial: fitted to the training crystals, evaluated by `suite.final` as every
model is, and left in a folder of the same form. It has no epochs and no weights; a seed fits it again.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar

import numpy as np

from baselines.floors import ForestConfig, composition_features, fit_forest, predict_forest
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import flat_rows
from crystalformer.data.splits import load_split
from crystalformer.training.loop import EpochRecord
from suite.costs import peak_memory_mb, reset_peak_memory
from suite.final import FinalJob, Predictor, evaluate, publish, shared_record
from suite.trial_task import TrialTask


@dataclass(frozen=True)
class Floor:
    """One floor: how readers know it, its settings, and whether a seed changes it."""

    key: str
    label: str
    paper: str
    config: dict
    seeded: bool


FLOORS: dict[str, Floor] = {
    floor.key: floor
    for floor in (
        Floor("mean", "Training mean", "the mean of the training targets", {}, seeded=False),
        Floor(
            "forest",
            "Random forest",
            "Breiman, Machine Learning 2001; features after Ward et al., npj Comput. Mater. 2016",
            asdict(ForestConfig()),
            seeded=True,
        ),
    )
}


def floor_seeds(floor: Floor, seeds: tuple[int, ...]) -> tuple[int, ...]:
    """The seeds that a floor is fitted with; one where they make no difference."""
    return seeds if floor.seeded else seeds[:1]


@dataclass(frozen=True)
class FloorJob(FinalJob):
    """A floor to be fitted; its task has no training."""

    files: ClassVar[tuple[str, ...]] = ("curve.csv",)
    done: ClassVar[str] = "fitted and evaluated"


def run_floor(job: FloorJob, jobs: int = 1) -> None:
    """Fit the floor to the training crystals, evaluate it, and write `final/<run_id>/`.

    `jobs` is the number of cores; the result does not depend on it.
    """
    reset_peak_memory()
    task = job.task
    store = ArrayStore.open(Path(task.store), verify=False)
    rows = store.rows(load_split(store, task.split).without_test().train)
    values = np.asarray(store.targets[task.target])[rows]
    started = time.perf_counter()
    predictor = _FITS[task.model](store, rows, values, task, jobs)
    seconds = time.perf_counter() - started
    evaluation = evaluate(store, task, predictor)
    record = shared_record(job, store, evaluation) | {
        "floor": True,
        "parameters": None,
        "kept": None,
        "epochs": 0,
        "train_s_per_epoch": None,
        "peak_memory_mb": peak_memory_mb(),
        "device": "cpu",
        "seconds": seconds,
        "threads": jobs,
    }
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    # No epochs, but the same columns as every curve.
    header = ",".join(field.name for field in fields(EpochRecord))
    (folder / "curve.csv").write_text(f"{header}\n", encoding="utf-8")
    publish(job, evaluation, record)


def _fit_mean(
    store: ArrayStore, rows: np.ndarray, values: np.ndarray, task: TrialTask, jobs: int
) -> Predictor:
    mean = float(values.mean())
    return lambda wanted: np.full(len(wanted), mean)


def _fit_forest(
    store: ArrayStore, rows: np.ndarray, values: np.ndarray, task: TrialTask, jobs: int
) -> Predictor:
    config = ForestConfig(**task.model_config)
    forest = fit_forest(_features(store, rows), values, task.seed, config, jobs)
    return lambda wanted: predict_forest(forest, _features(store, wanted))


def _features(store: ArrayStore, rows: np.ndarray) -> np.ndarray:
    sizes = store.sizes[rows]
    numbers = store.numbers[flat_rows(store.offsets[rows], sizes)].astype(np.int64)
    return composition_features(numbers, np.concatenate([[0], np.cumsum(sizes)]))


_FITS: dict[str, Callable[[ArrayStore, np.ndarray, np.ndarray, TrialTask, int], Predictor]] = {
    "mean": _fit_mean,
    "forest": _fit_forest,
}
