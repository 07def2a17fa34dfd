"""What a dry run prints about a search space."""

from pathlib import Path

from rich.console import Console

from suite.registry import MODELS
from suite.registry_table import parameter_count
from suite.space.describe import describe
from suite.space.search_space import SearchSpace, load_space

TEXT = """
name: small
data: {dataset: mp-elastic-2015, target: [log10_K_VRH, log10_G_VRH], split: {seed: 5}}
budget: {trials: 4, epochs: 20, hours: 0.5}
train: {batch_size: 64, lr: {float: [1.0e-4, 2.0e-3], log: true}}
models: {cgcnn: {conv_layers: {choices: [2]}, radius: {float: [4, 6], step: 2}, lr: 0.002}, crystalformer: {}}
"""


def described(tmp_path: Path, **given: object) -> tuple[SearchSpace, str]:
    path = tmp_path / "space.yaml"
    path.write_text(TEXT, encoding="utf-8")
    space = load_space(path)
    console = Console(width=160, record=True, file=(tmp_path / "out").open("w", encoding="utf-8"))
    console.print(describe(space, **given))  # type: ignore[arg-type]
    return space, "\n".join(" ".join(line.split()) for line in console.export_text().splitlines())


def test_the_resolved_space_is_shown(tmp_path: Path) -> None:
    space, text = described(tmp_path)
    assert "CGCNN (cgcnn): 2 configurations, trained by the common recipe" in text
    assert "Crystalformer (crystalformer): infinitely many configurations" in text
    assert "radius [4, 6] in steps of 2 searched 8 6" in text
    assert "lr [0.0001, 0.002] (log) searched 0.0005 0.0005" in text
    assert "lr 0.002 fixed 0.01" in text
    assert "swa_epochs 2 default 0" in text  # a tenth of 20 epochs; the published recipe has no average
    assert "4 trials of up to 20 epochs, all models together, at most 0.5 h" in text
    assert all(note in text for note in space.notes)
    assert len(space.notes) == 2


def test_examples_come_with_their_number_of_parameters(tmp_path: Path) -> None:
    space, text = described(tmp_path, samples=4)
    config, _ = space.resolve("cgcnn", space.models["cgcnn"].first)
    count = parameter_count(MODELS["cgcnn"].build(config))
    assert f"conv_layers 2, radius 6 (tried first) {count:,}" in text
    assert sum(line.startswith("conv_layers 2, radius") for line in text.splitlines()) == 4
    assert "(tried first) 853,505" in text  # the published Crystalformer of 4 blocks


def test_the_number_of_crystals_is_shown_where_it_is_known(tmp_path: Path) -> None:
    _, unknown = described(tmp_path)
    assert "number of crystals known once prepared" in unknown
    splits = {"log10_G_VRH": {"train": 945, "val": 118, "test": 118}}
    _, known = described(tmp_path, crystals=1181, splits=splits)
    assert "mp-elastic-2015, 1,181 crystals" in known
    assert "log10_G_VRH, split 0.8 / 0.1 / 0.1 (seed 5): train 945, val 118, test 118" in known
