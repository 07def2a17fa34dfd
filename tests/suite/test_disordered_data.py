"""A data set of disordered crystals: Crystalformer trains on the fractions, others fail with the reason."""

import csv
from dataclasses import asdict
from pathlib import Path

import pytest
from crystal_files import cubic_cif
from suite_fixtures import small_space
from trial_tasks import task_over

from suite.prepare import PreparedData, prepare_data
from suite.ray_driver.actor import TrialActor
from suite.space.search_space import load_space


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Path, PreparedData]:
    with (tmp_path / "alloys.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "cif", "y"])
        for i in range(20):
            iron = round(0.05 + 0.04 * i, 2)
            sites = (f"M1 Fe 0 0 0 {iron}", f"M2 Ni 0 0 0 {round(0.9 - iron, 2)}", "O1 O 0.5 0.5 0.5 1")
            cif = cubic_cif(3.5 + 0.01 * (i % 5), *sites)
            rows.writerow([f"alloy-{i}", cif, iron])
    data = {"dataset": {"path": str(tmp_path / "alloys.csv")}, "target": "y", "unit": "1"}
    path = small_space(tmp_path, data=data)
    return path, prepare_data(load_space(path), tmp_path / "data")


def first_step(folder: Path, space_path: Path, data: PreparedData, model: str) -> dict:
    space = load_space(space_path, ("budget.epochs=1", "final.epochs=1"))
    task = task_over(space, data, model, folder / model)
    actor = TrialActor({"task": asdict(task), "cpu": 1, "gpu": 0, "processes": 1, "passes": None})
    result = actor.step()
    actor.cleanup()
    return result


def test_models_that_know_mixed_sites_train_and_others_name_the_crystal(
    tmp_path: Path, prepared: tuple[Path, PreparedData]
) -> None:
    path, data = prepared
    assert len(data.store.mixed) == 40
    assert "failed" not in first_step(tmp_path, path, data, "crystalformer")
    failed = first_step(tmp_path, path, data, "cgcnn")["failed"]
    assert failed.startswith("NothingToTrainOn: train crystals: expected at least one that cgcnn can")
    assert "expected one element on every site" in failed
