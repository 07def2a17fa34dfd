"""Rows of the registry that the papers settle, and the registry as it is printed."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from suite.models import main
from suite.registry import MODELS
from suite.registry_table import parameter_count

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
        assert list(row) == ["name", "parameters", "published_parameters", "graph", "paper", "variants"]
        assert row["published_parameters"] == MODELS[row["name"]].published_parameters
        assert row["graph"]
        assert row["paper"]
    counts = {row["name"]: row["parameters"] for row in rows}
    assert (counts["crystalformer"], counts["cgcnn"]) == (853_505, 80_833)

    variants = {(row["name"], variant["name"]): variant for row in rows for variant in row["variants"]}
    assert {of: variant["parameters"] for of, variant in variants.items()} == {
        ("crystalformer", "7 blocks"): 1_471_745,
        ("crystalframer", "lightweight"): 878_081,
        ("schnet", "64 features"): 127_553,
        ("icomformer", "3 layers"): 4_111_201 - 74_080,  # less what its code never uses
        ("ecomformer", "half"): 5_583_809,
    }
    for variant in variants.values():
        assert list(variant) == ["name", "settings", "parameters", "published_parameters"]
        assert variant["published_parameters"] == variant["parameters"]
    assert variants["crystalformer", "7 blocks"]["settings"] == {"num_layers": 7}


def test_the_registry_as_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for key, entry in MODELS.items():
        (place,) = [place for place, line in enumerate(lines) if line.split()[:1] == [key]]
        for cell in (entry.paper, f"{entry.published_parameters:,}", entry.graph):
            assert cell in lines[place]
        for below, (name, variant) in zip(lines[place + 1 :], entry.variants.items(), strict=False):
            assert below.strip().startswith(f"{name} ")
            assert f"{variant.published_parameters:,}" in below


def test_the_table_breaks_no_word_at_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([]) == 0
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= 80
    expected = {word for entry in MODELS.values() for word in f"{entry.graph} {entry.paper}".split()}
    expected |= {word for entry in MODELS.values() for name in entry.variants for word in name.split()}
    assert expected <= set(text.split())


def test_a_wrong_flag_is_one_line_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--jsn"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
