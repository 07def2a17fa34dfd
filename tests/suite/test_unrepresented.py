"""Crystals that a model cannot represent: left out of its runs, counted, never dropped for another model."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from suite_fixtures import write_small_table
from trial_tasks import task_of

from crystalformer.data.splits import load_split
from suite.final import FinalJob, run_final
from suite.ray_driver.actor import TrialActor
from suite.records import read_json
from suite.training_setup import NothingToTrainOn
from suite.trial import TrialRun
from suite.trial_task import TrialTask

HEAVY, REASON = 101, "expected elements up to Z = 100, got Z = 101"
SPLIT = "data.split={train: 0.5, val: 0.25, test: 0.25}"


def with_heavy_elements(path: Path, every: int = 4) -> Path:
    """The small table, every few crystals with an element beyond CGCNN's atom table."""
    write_small_table(path)
    crystals = [json.loads(line) for line in path.read_text().splitlines()]
    for crystal in crystals[::every]:
        crystal["species"][-1] = HEAVY
    path.write_text("\n".join(map(json.dumps, crystals)) + "\n")
    return path


def task_here(root: Path, model: str = "cgcnn") -> TrialTask:
    overrides = (SPLIT, "models.crystalformer.elements=118")
    return task_of(root, model, 2, overrides, run_id="run-1", folder=str(root / f"final-{model}/.run-1"))


def heavy_ids(run: TrialRun) -> dict[str, set[str]]:
    """Per part of the split the crystals with the heavy element, found without the code under test."""
    store, split = run.setup.store, load_split(run.setup.store, run.task.split)
    heavy = {
        store.ids[row]
        for row in range(len(store))
        if (store.numbers[store.offsets[row] : store.offsets[row + 1]] == HEAVY).any()
    }
    parts = {"train": split.train, "val": split.val, "test": split.test}
    found = {part: heavy & set(ids) for part, ids in parts.items()}
    assert all(found.values())
    return found


def test_they_take_no_part_in_training_and_are_counted(tmp_path: Path) -> None:
    with_heavy_elements(tmp_path / "small.jsonl")
    run = TrialRun(task_here(tmp_path))
    heavy = heavy_ids(run)
    assert run.setup.missing == {"train": len(heavy["train"]), "val": len(heavy["val"])}
    used = {run.setup.store.ids[row] for row in (*run.setup.data.train, *run.setup.data.val)}
    assert not used & (heavy["train"] | heavy["val"])
    assert len(used) == 30 - sum(run.setup.missing.values())
    # The targets are scaled alike for every model.
    split = load_split(run.setup.store, run.task.split)
    all_train = np.asarray(run.setup.store.targets["log10_K_VRH"])[run.setup.store.rows(split.train)]
    assert run.setup.data.scaler.means[0] == pytest.approx(all_train.mean())
    run.close()


def test_the_search_records_how_many_a_trial_was_without(tmp_path: Path) -> None:
    with_heavy_elements(tmp_path / "small.jsonl")
    actor = TrialActor(
        {"task": asdict(task_here(tmp_path)), "cpu": 1, "gpu": 0, "processes": 1, "passes": None}
    )
    result = actor.step()
    actor.cleanup()
    run = TrialRun(task_here(tmp_path))
    assert result["missing"] == sum(run.setup.missing.values()) > 0
    run.close()


def test_a_final_run_predicts_the_others_and_says_why(tmp_path: Path) -> None:
    with_heavy_elements(tmp_path / "small.jsonl")
    task = task_here(tmp_path)
    run = TrialRun(task)
    heavy = heavy_ids(run)
    run.close()
    job = FinalJob(task, "CGCNN", "paper", "small", {"trial_id": "t0000", "val_mae": 0.1}, 1)
    run_final(job)
    record = read_json(job.folder / "run.json")
    assert record["missing"] == {part: len(ids) for part, ids in heavy.items()}
    assert record["unrepresented"] == dict.fromkeys(set().union(*heavy.values()), REASON)
    predictions = pd.read_parquet(job.folder / "predictions.parquet")
    assert len(predictions) == 20
    assert predictions["y_true"].notna().all()
    assert set(predictions["id"][predictions["y_pred"].isna()]) == heavy["val"] | heavy["test"]
    for part in ("val", "test"):
        known = predictions[(predictions["split"] == part) & predictions["y_pred"].notna()]
        error = (known["y_pred"] - known["y_true"]).abs().mean()
        assert record["metrics"][part]["mae"] == pytest.approx(error, rel=1e-12)


def test_another_model_keeps_them(tmp_path: Path) -> None:
    with_heavy_elements(tmp_path / "small.jsonl")
    run = TrialRun(task_here(tmp_path, "crystalformer"))
    assert run.setup.missing == {"train": 0, "val": 0}
    run.step()
    run.close()


def test_a_model_that_can_represent_none_fails_with_one_message(tmp_path: Path) -> None:
    with_heavy_elements(tmp_path / "small.jsonl", every=1)
    task = task_here(tmp_path)
    message = f"train crystals: expected at least one that cgcnn can represent, got none of 20; .*{REASON}"
    with pytest.raises(NothingToTrainOn, match=message):
        TrialRun(task)
    actor = TrialActor({"task": asdict(task), "cpu": 1, "gpu": 0, "processes": 1, "passes": None})
    assert actor.step()["failed"].startswith("NothingToTrainOn: train crystals: expected at least one")
    actor.cleanup()


def test_crystalformer_counts_elements_beyond_its_own(tmp_path: Path) -> None:
    with_heavy_elements(tmp_path / "small.jsonl")
    task = task_here(tmp_path, "crystalformer")
    run = TrialRun(TrialTask(**{**asdict(task), "model_config": {**task.model_config, "elements": 98}}))
    assert len(run.setup.failures) == 10
    assert set(run.setup.failures.values()) == {
        "expected elements up to Z = 98, got Z = 101; the setting `elements` can be raised to 118"
    }
    run.step()
    run.close()
