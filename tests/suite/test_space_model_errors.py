"""Mistakes in the `train` and `models` blocks of a search space, of the real models."""

from pathlib import Path

import pytest
from toy_spaces import complaint


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("space.yaml")


MISTAKES = [
    ("train", "train: {epochs: 5}", "6: train.epochs: unknown key 'epochs'; 'epochs' belongs in 'budget'"),
    ("train", "train: {learning_rate: 5}", "6: train.learning_rate: unknown key 'learning_rate'"),
    ("train", "train: {recipe: publishd}", "6: train.recipe: unknown recipe 'publishd'; closest: published"),
    ("train", "train: {lr: 0}", "6: train.lr: expected above 0, got 0"),
    (
        "train",
        "train: {lr: '1e-3'}",
        "6: train.lr: expected a number, got '1e-3'; write numbers without quotes",
    ),
    ("train", "train: {lr: {float: [0, 1]}}", "6: train.lr: expected above 0, got 0.0"),
    ("train", "train: {batch_size: 64.0}", "6: train.batch_size: expected a whole number, got 64.0"),
    (
        "train",
        "train: {batch_size: {float: [1, 9]}}",
        "6: train.batch_size: expected a whole number, got 1.0",
    ),
    (
        "train",
        "train: {loss: smooth_l2}",
        "6: train.loss: expected one of l1, mse, smooth_l1, got 'smooth_l2'; closest: smooth_l1",
    ),
    (
        "train",
        "train: {swa_epochs: 21}",
        "6: train.swa_epochs: expected from 0 to the 20 epochs of the run, got 21",
    ),
    (
        "train",
        "train: {swa_epochs: {int: [0, 21]}}",
        "6: train.swa_epochs: expected from 0 to the 20 epochs of the run, got 21",
    ),
    ("models", "models: {}", "7: models: expected at least one model of crystalformer, crystalframer, cgcnn"),
    ("models", "models: [cgcnn]", "7: models: expected a mapping (key: value), got ['cgcnn']"),
    ("models", "models: {cgnn: {}}", "7: models.cgnn: unknown model 'cgnn'; closest: cgcnn"),
    (
        "models",
        "models:\n  cgcnn: {}\n  crystalformer:\n    r0: 1.4\n    num_layer: 2",
        "11: models.crystalformer.num_layer: unknown parameter of crystalformer 'num_layer'; "
        "closest: num_layers",
    ),
    (
        "models",
        "models: {cgcnn: {epochs: 3}}",
        "unknown parameter of cgcnn 'epochs'; 'epochs' belongs in 'budget'",
    ),
    (
        "models",
        "models: {cgcnn: {targets: 3}}",
        "7: models.cgcnn.targets: unknown parameter of cgcnn 'targets'",
    ),
    (
        "models",
        "models: {crystalformer: {num_layers: {int: [0, 4]}}}",
        "7: models.crystalformer.num_layers: expected an integer from 1 to 16, got 0",
    ),
    (
        "models",
        "models: {crystalformer: {lattice_range: {choices: [1, adaptve]}}}",
        "7: models.crystalformer.lattice_range: expected an integer from 0 to 10, "
        "'adaptive', 'radius' or 'tolerance', got 'adaptve'",
    ),
    (
        "models",
        "models: {crystalformer: {num_layers: {int: [1.5, 4]}}}",
        "7: models.crystalformer.num_layers: int: expected two whole numbers, got 1.5",
    ),
    (
        "models",
        "models: {crystalformer: {num_layers: [1, 2]}}",
        "7: models.crystalformer.num_layers: expected a value or a range, got a list; "
        "to search its values write {choices: [1, 2]}",
    ),
    (
        "models",
        "models: {crystalformer: {num_layers: {choice: [1, 2]}}}",
        "7: models.crystalformer.num_layers: unknown key 'choice'; closest: choices",
    ),
    (
        "models",  # 8 heads
        "models: {crystalformer: {width: {int: [64, 128]}}}",
        "7: models.crystalformer.width: 65 is refused: heads: expected a divisor of the width 65, got 8",
    ),
    (
        "models",  # each choice is possible beside 128 and 8, the combination is not
        "models: {crystalformer: {width: {choices: [128, 40]}, heads: {choices: [8, 16]}}}",
        "7: models.crystalformer.heads: expected a divisor of the width 40, got 16 (with width 40)",
    ),
]


@pytest.mark.parametrize(
    ("block", "line", "expected"), MISTAKES, ids=[line.splitlines()[0] for _, line, _ in MISTAKES]
)
def test_a_mistake_in_the_file(path: Path, block: str, line: str, expected: str) -> None:
    said = complaint(path, **{block: line})
    assert said.startswith("space.yaml:")
    assert expected in said


def test_an_average_longer_than_the_final_training_is_found_before_anything_starts(path: Path) -> None:
    said = complaint(path, train="train: {swa_epochs: 8}", final="final: {epochs: 4}")
    assert said == "space.yaml:6: train.swa_epochs: expected from 0 to the 4 epochs of the run, got 8"


def test_long_lists_of_names_are_shown_only_where_no_name_is_close(path: Path) -> None:
    close = complaint(path, models="models: {crystalformer: {num_layer: 2}}")
    far = complaint(path, models="models: {crystalformer: {zzzzz: 2}}")
    assert "valid:" not in close
    assert "valid: num_layers, width, heads" in far
    assert far.endswith("ema_decay")
