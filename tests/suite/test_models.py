"""Rows of the registry that the papers settle."""

from suite.models import MODELS, parameter_count


def test_crystalframer_is_its_published_self() -> None:
    entry = MODELS["crystalframer"]
    config, recipe = entry.config(), entry.published_recipe
    assert (config.frames, config.angle_basis, config.angle_width) == ("max", 64, 4.0)
    assert (recipe.epochs, recipe.batch_size, recipe.swa_epochs) == (800, 128, 50)
    assert parameter_count(entry.build(config)) == 951_809
    assert MODELS["crystalformer"].config().frames == "none"
