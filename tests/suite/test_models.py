"""Rows of the registry that the papers settle."""

import math

import pytest

from suite.models import MODELS, parameter_count


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
