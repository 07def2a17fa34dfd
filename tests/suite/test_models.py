"""Rows of the registry that the papers settle, and the registry as it is printed."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from suite.models import MODELS, main, parameter_count

ROOT = Path(__file__).resolve().parents[2]


def test_crystalframer_is_its_published_self() -> None:
    entry = MODELS["crystalframer"]
    config, recipe = entry.config(), entry.published_recipe
    assert (config.frames, config.angle_basis, config.angle_width) == ("max", 64, 4.0)
    assert (recipe.epochs, recipe.batch_size, recipe.swa_epochs) == (800, 128, 50)
    assert parameter_count(entry.build(config)) == 951_809
    assert MODELS["crystalformer"].config().frames == "none"


def test_the_record_of_a_run_says_what_the_lattice_sum_leaves_out() -> None:
    entry = MODELS["crystalformer"]
    facts = entry.facts(entry.config(lattice_range="tolerance", tolerance=1e-4))
    assert 11 < facts["images_radius"] < 13  # type: ignore[operator]
    assert facts["truncation_bound"] == pytest.approx(1e-4, rel=1e-4)
    config = entry.config(lattice_range="radius", radius=6.0)
    assert entry.facts(config) == {"images_radius": 6.0, "truncation_bound": config.truncation_bound}
    # At 2 Å no bound holds; JSON has no number for that.
    assert entry.config(lattice_range="radius", radius=2.0).truncation_bound == math.inf
    small = entry.facts(entry.config(lattice_range="radius", radius=2.0))
    assert small == {"images_radius": 2.0, "truncation_bound": None}
    assert entry.facts(entry.config()) == entry.facts(entry.config(lattice_range=2)) == {}
    assert MODELS["cgcnn"].facts(MODELS["cgcnn"].config()) == {}


def test_the_registry_as_json() -> None:
    command = [sys.executable, "-m", "suite.models", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == list(MODELS)
    for row in rows:
        assert list(row) == ["name", "parameters", "published_parameters", "graph", "paper"]
        assert row["published_parameters"] == MODELS[row["name"]].published_parameters
        assert row["graph"]
        assert row["paper"]
    counts = {row["name"]: row["parameters"] for row in rows}
    assert (counts["crystalformer"], counts["cgcnn"]) == (853_505, 80_833)


def test_the_registry_as_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for key, entry in MODELS.items():
        (line,) = [line for line in lines if line.split()[:1] == [key]]
        for cell in (entry.label, entry.paper, f"{entry.published_parameters:,}", entry.graph):
            assert cell in line


def test_a_wrong_flag_is_one_line_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--jsn"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
