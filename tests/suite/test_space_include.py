"""Blocks that search spaces share: what is merged, what goes first, and what is said of mistakes."""

from pathlib import Path

import pytest
from toy_spaces import MODELS

from suite.space.search_space import SearchSpace, SpaceError, load_space

MAIN = """
include: shared/data.yaml
name: main
budget: {trials: 4}
models: {toy: {depth: {int: [1, 4]}}}
"""
DATA = """
include: [budget.yaml]
data: {dataset: mp-elastic-2015, target: log10_K_VRH}
models: {toy: {depth: 2, scale: 2.1}, rival: {}}
"""
BUDGET = "budget: {trials: 9, epochs: 20}\ntrain: {lr: 1.0e-3}\n"


def load(folder: Path, **files: str) -> SearchSpace:
    (folder / "shared").mkdir(exist_ok=True)
    texts = {"main.yaml": MAIN, "shared/data.yaml": DATA, "shared/budget.yaml": BUDGET}
    for name, text in {
        **texts,
        **{key.replace("_", "/") + ".yaml": text for key, text in files.items()},
    }.items():
        (folder / name).write_text(text)
    return load_space(folder / "main.yaml", (), MODELS)


def test_a_file_goes_before_what_it_includes_key_by_key(tmp_path: Path) -> None:
    space = load(tmp_path)
    assert (space.budget.trials, space.budget.epochs) == (4, 20)
    assert space.data.targets == ("log10_K_VRH",)
    assert list(space.models) == ["toy", "rival"]
    assert str(space.models["toy"].domains["depth"]) == "[1, 4]"
    assert space.models["toy"].constants == {"scale": 2.1, "lr": 1e-3}


def test_the_record_has_every_text(tmp_path: Path) -> None:
    space = load(tmp_path)
    assert space.text.startswith(MAIN)
    assert "# data: {dataset: mp-elastic-2015, target: log10_K_VRH}" in space.text
    assert "# train: {lr: 1.0e-3}" in space.text


def test_the_later_of_two_included_files_goes_first(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("budget: {epochs: 30}\n")
    text = MAIN.replace("shared/data.yaml", "[shared/data.yaml, more.yaml]")
    assert load(tmp_path, main=text).budget.epochs == 30


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"main": MAIN.replace("data.yaml", "date.yaml")}, "main.yaml:2: include: "),
        ({"main": MAIN.replace("data.yaml", "date.yaml")}, "no such search-space file; closest: data.yaml"),
        ({"main": MAIN.replace("shared/data.yaml", "7")}, "include: expected the path of a file or a list"),
        ({"shared_budget": "include: data.yaml\n"}, "data.yaml includes itself"),
        (
            {"shared_budget": "budget: {epochs: none}\n"},
            "budget.yaml:1: budget.epochs: expected a whole number",
        ),
    ],
)
def test_mistakes_name_their_file(tmp_path: Path, files: dict, message: str) -> None:
    with pytest.raises(SpaceError) as error:
        load(tmp_path, **files)
    assert message in str(error.value)
