"""The measurements run and say what they are documented to say; no speed is judged here."""

import json

import pytest

from benchmarks import lists, packing, scale


def test_lists_are_measured_per_cpu_second(capsys):
    lists.main(["--json", "--crystals", "3", "--repeat", "1"])
    result = json.loads(capsys.readouterr().out)
    assert (result["crystals"], result["atoms"]) == (3, 60)
    assert result["list_crystals_per_cpu_s"] == pytest.approx(3 / result["list_cpu_s"])
    assert result["store_crystals_per_cpu_s"] > 0
    assert 60 < result["images"] < 60 * 150
    assert result["peak_mb"] > 0


def test_a_long_search_is_recorded_and_loaded():
    result = scale.measure(trials=120, epochs=20)
    assert (result["trials"], result["epochs"]) == (120, 20)
    assert result["load_s"] > 0
    assert result["study_mb"] > 0


def test_stacked_models_are_measured_against_the_same_models_apart(capsys):
    packing.main(["--json", "--repeat", "1", "--pack", "2"])  # which also checks that they predict the same
    result = json.loads(capsys.readouterr().out)
    assert result["pack"] == 2
    for part in ("cgcnn", "crystalformer"):
        ratio = result[part]["plain_cpu_s"] / result[part]["stacked_cpu_s"]
        assert result[part]["plain_to_stacked_cpu"] == pytest.approx(ratio, rel=0.05)
