"""The floors of a search: fitted to its training crystals, left as any final run, asked for or not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from suite_fixtures import small_space

from crystalformer.data.splits import load_split
from crystalformer.training.loop import EpochRecord
from suite.curve_follower import CurveFollower
from suite.experiment import Experiment
from suite.floors import FLOORS, FloorJob, run_floor
from suite.prepare import prepare_data
from suite.records import read_json
from suite.space.search_space import SpaceError, load_space
from suite.tasks import arrange_final_runs, final_jobs
from suite.trial import read_curve

TARGET = "log10_K_VRH"
OVERRIDES = ("models={cgcnn: {node_width: 8}}", "final.seeds=[3, 4]")


def opened(folder: Path, *overrides: str) -> Experiment:
    space = load_space(small_space(folder), (*OVERRIDES, *overrides))
    experiment = Experiment.open(
        folder / "runs", space, prepare_data(space, folder / "data"), "command", False
    )
    ledger = experiment.ledgers[TARGET]
    trial = ledger.next()
    if trial is not None:
        ledger.finish(trial.number, "complete", "done", {"epochs": 4, "val_mae": 0.3})
    return experiment


def floors_of(experiment: Experiment) -> list[FloorJob]:
    return [job for job in final_jobs(experiment) if isinstance(job, FloorJob)]


def test_the_mean_is_there_once_and_the_forest_for_every_seed(tmp_path: Path) -> None:
    with opened(tmp_path) as experiment:
        jobs = final_jobs(experiment)
        assert [(job.task.model, job.task.seed) for job in jobs] == [
            ("cgcnn", 3), ("cgcnn", 4), ("mean", 3), ("forest", 3), ("forest", 4),
        ]  # fmt: skip
        assert [floor["seeds"] for floor in experiment.record["floors"].values()] == [[3], [3, 4]]
        assert len({job.task.run_id for job in jobs}) == len(jobs)


def test_a_search_without_them_has_none(tmp_path: Path) -> None:
    with opened(tmp_path, "final.floors=false") as experiment:
        assert floors_of(experiment) == []
        assert experiment.record["floors"] == {}
    with pytest.raises(SpaceError, match=r"final\.floors: expected true or false, got 'maybe'"):
        load_space(small_space(tmp_path), ["final.floors=maybe"])


def test_nothing_trained_needs_no_floor(tmp_path: Path) -> None:
    space = load_space(small_space(tmp_path), OVERRIDES)
    data = prepare_data(space, tmp_path / "data")
    with Experiment.open(tmp_path / "runs", space, data, "command", False) as experiment:
        assert final_jobs(experiment) == []


@pytest.mark.parametrize("key", list(FLOORS))
def test_a_floor_is_a_final_run_like_others(tmp_path: Path, key: str) -> None:
    with opened(tmp_path) as experiment:
        job = next(job for job in floors_of(experiment) if job.task.model == key)
        assert not job.finished
        run_floor(job)
        assert job.finished
        arrange_final_runs(experiment, final_jobs(experiment))
        assert job.finished
        store, split = experiment.data.store, experiment.data.splits[TARGET]
    record = read_json(job.folder / "run.json")
    assert (record["floor"], record["parameters"], record["label"]) == (True, None, FLOORS[key].label)
    predictions = pd.read_parquet(job.folder / "predictions.parquet")
    assert predictions["id"].tolist() == [*split.val, *split.test]
    values = dict(zip(store.ids, store.targets[TARGET], strict=True))
    assert predictions["y_true"].tolist() == [values[id_] for id_ in predictions["id"]]
    for part in ("val", "test"):
        rows = predictions[predictions["split"] == part]
        assert record["metrics"][part]["mae"] == pytest.approx((rows["y_pred"] - rows["y_true"]).abs().mean())
    train = np.array([values[id_] for id_ in split.train])
    if key == "mean":
        assert set(predictions["y_pred"]) == {train.mean()}
    else:
        assert predictions["y_pred"].between(train.min(), train.max()).all()
        assert predictions["y_pred"].nunique() > 4
    assert read_curve(job.folder / "curve.csv") == []
    assert (job.folder / "curve.csv").read_text().split(",")[0] in EpochRecord.__dataclass_fields__


def test_a_floor_repeats_itself_and_its_seed_matters(tmp_path: Path) -> None:
    def predicted(folder: Path, jobs: int) -> list[list[float]]:
        folder.mkdir()
        with opened(folder) as experiment:
            forests = [job for job in floors_of(experiment) if job.task.model == "forest"]
            for job in forests:
                run_floor(job, jobs)
            return [pd.read_parquet(job.folder / "predictions.parquet")["y_pred"].tolist() for job in forests]

    first, again = predicted(tmp_path / "a", 1), predicted(tmp_path / "b", 2)
    assert first == again
    assert first[0] != first[1]


def test_a_floor_is_fitted_to_training_crystals_alone(tmp_path: Path) -> None:
    """Other labels of validation and test change no prediction."""
    with opened(tmp_path) as experiment:
        (job,) = [job for job in floors_of(experiment) if job.task.model == "forest"][:1]
        run_floor(job)
        before = pd.read_parquet(job.folder / "predictions.parquet")
        store = experiment.data.store
        split = load_split(store, job.task.split)
        file = Path(job.task.store) / "targets.npy"
        values = np.load(file)
        rows = store.rows((*split.val, *split.test))
        values.reshape(len(store))[rows] += 100.0
        file.unlink()
        np.save(file, values)
        run_floor(job)
        after = pd.read_parquet(job.folder / "predictions.parquet")
    assert after["y_pred"].tolist() == before["y_pred"].tolist()
    assert after["y_true"].tolist() == pytest.approx((before["y_true"] + 100.0).tolist())


def test_the_watcher_is_told_that_it_was_fitted(tmp_path: Path) -> None:
    said: list[tuple] = []

    class Listener:
        def ended(self, *event: object) -> None:
            said.append(event)

        def epoch(self, *event: object) -> None:
            raise AssertionError("a floor has no epochs")

    with opened(tmp_path) as experiment:
        job = floors_of(experiment)[0]
        run_floor(job)
    follower = CurveFollower(Listener())  # type: ignore[arg-type]
    follower.look(job)
    follower.ended(job, None)
    value = read_json(job.folder / "run.json")["metrics"]["val"]["mae"]
    assert said == [(job.task.run_id, "complete", "fitted and evaluated", value)]
