import dataclasses

import pytest

from crystalformer.model.config import CrystalformerConfig
from crystalformer.training.config import TrainConfig


def test_defaults_are_the_published_model():
    config = CrystalformerConfig()
    assert (config.num_layers, config.width, config.heads, config.ff_width) == (4, 128, 8, 512)
    assert (config.r0, config.a, config.b) == (1.4, 0.1, 0.5)
    assert (config.value_basis, config.r_max, config.lattice_range) == (64, 14.0, "adaptive")
    assert (config.domain, config.rb0, config.reciprocal_range) == ("real", 2.2, 2)
    assert (config.decay, config.norm, config.elements, config.minimum_box) == ("learned", "none", 98, 2)
    assert config.head_width == 16
    assert config.sigma_max == pytest.approx(1.9799, abs=1e-4)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("num_layers", 0, "an integer from 1 to 16"),
        ("num_layers", 17, "an integer from 1 to 16"),
        ("num_layers", True, "an integer from 1 to 16"),
        ("num_layers", 2.0, "an integer from 1 to 16"),
        ("width", 0, "an integer of at least 1"),
        ("heads", 3, "a divisor of the width 128"),
        ("heads", 0, "an integer of at least 1"),
        ("ff_width", -1, "an integer of at least 1"),
        ("r0", 0.0, "a number above 0"),
        ("r0", float("nan"), "a number above 0"),
        ("r0", "1.4", "a number above 0"),
        ("a", -0.1, "a number of at least 0"),
        ("b", 0, "a number between 0 and 1, exclusive"),
        ("b", 1.0, "a number between 0 and 1, exclusive"),
        ("value_basis", -1, "an integer of at least 0"),
        ("r_max", float("inf"), "a number above 0"),
        ("minimum_box", 11, "an integer from 0 to 10"),
        ("rb0", 0, "a number above 0"),
        ("reciprocal_range", -1, "an integer from 0 to 10"),
        ("decay", "none", "one of learned, fixed, unnormalised"),
        ("norm", "batch", "one of none, pre, post"),
        ("frames", "lattice", "one of none, max, weighted-pca"),
        ("angle_basis", 1, "an integer of at least 2"),
        ("angle_width", 0.0, "a number above 0"),
        ("c_dist", float("inf"), "a finite number"),
        ("c_angle", "1", "a finite number"),
        ("elements", 119, "an integer from 1 to 118"),
        ("output_width", -1, "an integer of at least 0"),
        ("lattice_range", -1, "an integer from 0 to 10, 'adaptive'"),
        ("lattice_range", 11, "an integer from 0 to 10, 'adaptive'"),
        ("lattice_range", True, "an integer from 0 to 10, 'adaptive'"),
        ("lattice_range", "auto", "an integer from 0 to 10, 'adaptive', 'radius' or 'tolerance'"),
        ("radius", 0.0, "a number above 0, at most 50 (Å)"),
        ("radius", 51, "a number above 0, at most 50 (Å)"),
        ("tolerance", 0, "a number of at least 1e-15, below 1"),
        ("tolerance", 1.0, "a number of at least 1e-15, below 1"),
        ("tolerance", float("nan"), "a number of at least 1e-15, below 1"),
        ("kernel", "tpu", "one of auto, reference, cpu, gpu"),
        ("kernel", None, "one of auto, reference, cpu, gpu"),
        ("targets", 0, "an integer of at least 1"),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected(field, value, expected):
    with pytest.raises(ValueError) as error:
        CrystalformerConfig(**{field: value})
    assert str(error.value).startswith(f"{field}: expected {expected}")
    assert str(error.value).endswith(f"got {value!r}")


def test_integers_serve_as_numbers():
    assert CrystalformerConfig(r0=2, a=0, r_max=20, lattice_range=0).r0 == 2


def test_no_field_shares_a_name_with_the_training_settings():
    def names(config):
        return {field.name for field in dataclasses.fields(config)}

    assert not names(CrystalformerConfig) & names(TrainConfig)
