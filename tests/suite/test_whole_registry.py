"""A search over every model of the registry, and over a part of the crystals: `all`, `auto` and `subset`."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from suite_fixtures import small_space
from toy_spaces import LINES, MINIMAL, complaint, load

from crystalformer.data.splits import fractions, load_split
from suite.prepare import prepare_data
from suite.registry import MODELS
from suite.space.describe import describe
from suite.space.search_space import load_space

SPACES = Path(__file__).resolve().parents[2] / "search_spaces"
SUBSET = LINES["data"].replace("}", ", subset: %s}")


def test_the_quickstart_of_the_baselines_runs_every_model_once() -> None:
    space = load_space(SPACES / "baselines_quickstart.yaml")
    assert tuple(space.models) == tuple(MODELS)
    assert space.budget.trials == len(MODELS)
    assert (space.budget.epochs, space.final.seeds, space.final.top) == (2, (0,), 1)
    assert space.search.scheduler == "none"
    for key, model in space.models.items():
        assert not model.domains
        assert space.resolve(key, {})[0] == MODELS[key].config()


def test_its_256_crystals_are_always_the_same(tmp_path: Path) -> None:
    data = prepare_data(load_space(SPACES / "baselines_quickstart.yaml"), tmp_path)
    [split] = data.splits.values()
    assert split.counts == {"train": 204, "val": 25, "test": 25}
    assert split.rule == "fractions 0.8/0.1/0.1, seed 123, of 256 crystals drawn with seed 123"
    assert split.hash.startswith("4e9f0d7e051a")
    assert load_split(data.store, split.hash) == split


def test_all_is_short_for_every_model_as_published(tmp_path: Path) -> None:
    short = load(tmp_path, MINIMAL.replace("{toy: {}}", "all").replace("trials: 4", "trials: auto"))
    long = load(tmp_path, MINIMAL.replace("{toy: {}}", "{toy: {}, rival: {}}"))
    assert short.models == long.models
    assert short.digest == long.digest
    assert (short.budget.trials, load(tmp_path, MINIMAL, "budget.trials=auto").budget.trials) == (2, 1)


def test_a_subset_makes_another_search_and_none_does_not(tmp_path: Path) -> None:
    plain = load(tmp_path, MINIMAL)
    assert plain.data.subset is None
    assert "subset" not in plain.content["data"]
    assert load(tmp_path, MINIMAL, "data.subset=null").digest == plain.digest
    part = load(tmp_path, MINIMAL, "data.subset=256")
    assert part.data.subset == part.content["data"]["subset"] == 256
    assert part.digest != plain.digest


def test_a_subset_is_divided_like_the_whole(tmp_path: Path) -> None:
    whole, part = (
        prepare_data(load_space(small_space(tmp_path), overrides), tmp_path / "data")
        for overrides in ((), ("data.subset=20", "data.split.seed=7"))
    )
    [all_of_it], [some] = whole.splits.values(), part.splits.values()
    assert part.store.digest == whole.store.digest
    assert some.counts == {"train": 16, "val": 2, "test": 2}
    assert some.hash != all_of_it.hash
    drawn = [id_ for id_ in part.store.ids if id_ in {*some.train, *some.val, *some.test}]
    assert fractions(drawn, 0.8, 0.1, 0.1, seed=7).hash == some.hash
    assert part.summary()["split"]["log10_K_VRH"]["rule"] == some.rule


def test_more_crystals_than_there_are_cannot_be_drawn(tmp_path: Path) -> None:
    space = load_space(small_space(tmp_path), ("data.subset=41",))
    message = r"data\.subset: expected from 1 to 40, got 41: .* that have the target log10_K_VRH"
    with pytest.raises(ValueError, match=message):
        prepare_data(space, tmp_path / "data")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1182", "2: data.subset: expected at most the 1181 crystals of mp-elastic-2015, got 1182"),
        ("2", "2: data.subset: expected a whole number of at least 3, got 2"),
        ("half", "2: data.subset: expected a whole number of at least 3, got 'half'"),
    ],
)
def test_impossible_subsets_are_refused(tmp_path: Path, value: str, expected: str) -> None:
    assert expected in complaint(tmp_path / "space.yaml", data=SUBSET % value)


def test_the_dry_run_says_how_many_crystals_are_used(tmp_path: Path) -> None:
    space = load_space(small_space(tmp_path), ("data.subset=20",))
    console = Console(width=400, record=True, file=StringIO())
    console.print(describe(space, crystals=40))
    assert "40 crystals, of which 20 are used" in console.export_text()
