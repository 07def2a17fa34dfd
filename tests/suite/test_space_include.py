"""Blocks that search spaces share: what is merged, what goes first, and what is said of mistakes."""

from pathlib import Path

import pytest
from toy_spaces import MODELS

from suite.space.include import standalone
from suite.space.node import Node
from suite.space.search_space import SearchSpace, SpaceError, load_space
from suite.space.yaml_file import read_space

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


def test_the_record_says_the_same_elsewhere_and_has_every_text(tmp_path: Path) -> None:
    space = load(tmp_path)
    for text in (MAIN, DATA, BUDGET):
        assert all(f"# {line}\n" in space.text for line in text.strip().splitlines())
    record = tmp_path / "elsewhere" / "space.yaml"
    record.parent.mkdir()
    record.write_text(space.text)
    again = load_space(record, (), MODELS)
    assert (again.content, again.digest, again.name) == (space.content, space.digest, "main")
    assert again.text == space.text


@pytest.mark.parametrize("value", ["no", "1e-4", "010", "~", "2015-01-01", 1.0e-5, 3, True, None, "a: b"])
def test_values_keep_their_kinds_in_the_record(tmp_path: Path, value: object) -> None:
    node = Node({"key": Node(value, "", "key")}, "", "")
    path = tmp_path / "space.yaml"
    path.write_text(standalone(node, []))
    _, again = read_space(path)
    assert again.plain() == {"key": value}


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
