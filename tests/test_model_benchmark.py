"""`python -m benchmarks.models`: on what it measures, and what it prints."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.models import main, model_store, model_trainer
from suite.registry import MODELS


def test_the_batch_is_64_crystals_of_13_atoms_that_every_model_represents(tmp_path: Path) -> None:
    store = model_store(tmp_path)
    assert (len(store), len(store.numbers)) == (64, 64 * 13)
    for key in MODELS:
        entry = MODELS[key]
        assert not entry.batches(store, np.zeros((64, 1)), entry.config(), tmp_path / "cache").failures, key


def test_an_epoch_of_the_benchmark_is_one_step_on_the_whole_batch(tmp_path: Path) -> None:
    trainer = model_trainer("cgcnn", model_store(tmp_path), tmp_path)
    assert [len(rows) for rows in trainer.order.epoch(0)] == [64]
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    record = trainer.run_epoch()
    assert record.seconds > 0
    assert any((now != then).any() for now, then in zip(trainer.model.parameters(), before, strict=True))
    assert trainer.average is None


def test_the_command_gives_one_object_per_model(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--json", "--models", "cgcnn", "--repeat", "1", "--threads", "1"])
    [row] = json.loads(capsys.readouterr().out)
    assert list(row) == ["name", "step_s", "predict_ms_per_crystal", "peak_mb", "parameters"]
    assert (row["name"], row["parameters"]) == ("cgcnn", 80_833)
    assert row["step_s"] > 0
    assert row["predict_ms_per_crystal"] > 0
    assert 100 < row["peak_mb"] < 2000


@pytest.mark.parametrize("flags", [["--models", "cgcnx"], ["--repeat", "0"]])
def test_wrong_flags_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(flags)
    assert error.value.code == 2
    assert f"{flags[0]}: expected" in capsys.readouterr().err
