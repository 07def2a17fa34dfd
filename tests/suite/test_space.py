"""A whole search space: what is read, defaults, first configurations and notes, resolving."""

import math
import pickle
import re
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from toy_spaces import MINIMAL, MODELS, ToyConfig, load

from crystalformer.training.config import TrainConfig
from suite.space.data_block import DataSpec
from suite.space.domains import Choice, Float, Integer
from suite.space.search_space import BudgetSpec, FinalSpec, ResourcesSpec, SearchSpec, SpaceError, load_space
from suite.space.split_block import SplitSpec
from suite.space.yaml_file import read_space

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = TrainConfig(epochs=200, lr=5e-3, schedule="step", milestone=150, step_factor=0.3, swa_epochs=0)


def test_a_trial_may_have_several_gpus_or_processes(tmp_path: Path) -> None:
    def resources(block: str) -> ResourcesSpec:
        return load(tmp_path, MINIMAL + f"resources: {block}\n").resources

    assert resources("{gpus_per_trial: 2}") == ResourcesSpec(2.0, 2.0, 2)
    assert resources("{gpus_per_trial: 1}") == ResourcesSpec(1.0, 1.0, 1)
    assert resources("{processes_per_trial: 2, cpu: 8}") == ResourcesSpec(8.0, 0.0, 2)
    assert resources("{processes_per_trial: 1}") == ResourcesSpec(1.0, "auto", 1)
    assert resources("{gpu: 0.33, gpu_memory: 80}") == ResourcesSpec(1.0, 0.33, 1, 80.0)


def test_what_is_left_out_has_the_documented_defaults(tmp_path: Path) -> None:
    space = load(tmp_path)
    assert space.name == "small"
    assert space.data == DataSpec(
        "mp-elastic-2015",
        ("log10_K_VRH",),
        {"log10_K_VRH": SplitSpec("fractions", 0.8, 0.1, 0.1, 123)},
        None,
        0,
    )
    assert space.objective == ("val_mae",)
    assert space.budget == BudgetSpec(4, 20, None)
    assert space.search == SearchSpec("tpe", "asha", grace_epochs=3, reduction=3, concurrent=1, seed=0)
    assert space.resources == ResourcesSpec(1.0, "auto")
    assert space.final == FinalSpec(1, (0, 1, 2), {"log10_K_VRH": 20})
    assert space.text == MINIMAL
    assert space.notes == ()
    assert space.models["toy"].recipe == "common"
    assert load(tmp_path, MINIMAL, "budget.epochs=3").search.grace_epochs == 1


def test_every_key_of_the_grammar_is_read(tmp_path: Path) -> None:
    space = load(
        tmp_path,
        """
name: full-1.0
data:
  dataset: mp-elastic-2015
  target: [log10_K_VRH, log10_G_VRH]
  split: {log10_K_VRH: {train: 0.5, val: 0.2, test: 0.2, seed: 7}, log10_G_VRH: {seed: 8}}
  max_rejected: 3
objective: [val_mae]
budget: {trials: 16, epochs: 20, hours: 1}
search: {sampler: random, scheduler: none, grace_epochs: 5, reduction: 2, concurrent: 4, seed: 9}
resources: {cpu: 2, gpu: 0.25}
train: {batch_size: 64, lr: {float: [1e-4, 2e-3], log: true}, recipe: published}
models:
  toy: {depth: {int: [1, 4]}, reach: {choices: [1, 2, adaptive]}, scale: 2, lr: 0.001, residual: false}
  rival:
final: {top: 2, seeds: [4, 2], epochs: 40}
""",
    )
    assert space.data.targets == ("log10_K_VRH", "log10_G_VRH")
    assert space.data.split == {
        "log10_K_VRH": SplitSpec("fractions", 0.5, 0.2, 0.2, 7),
        "log10_G_VRH": SplitSpec("fractions", 0.8, 0.1, 0.1, 8),
    }
    assert space.data.max_rejected == 3
    assert space.budget.hours == 1.0
    assert space.search == SearchSpec("random", "none", 5, 2, 4, 9)
    assert space.resources == ResourcesSpec(2.0, 0.25)
    assert space.final == FinalSpec(2, (4, 2), {"log10_K_VRH": 40, "log10_G_VRH": 40})
    toy, rival = space.models["toy"], space.models["rival"]
    assert toy.domains == {"depth": Integer(1, 4), "reach": Choice((1, 2, "adaptive"))}
    assert toy.constants == {"batch_size": 64, "scale": 2.0, "lr": 0.001, "residual": False}
    assert rival.domains == {"lr": Float(1e-4, 2e-3, log=True)}
    assert (toy.size(), rival.size()) == (12, math.inf)
    assert rival.recipe == "published"


def test_a_search_space_cannot_be_changed_and_can_be_sent_to_another_process(tmp_path: Path) -> None:
    space = load(tmp_path)
    with pytest.raises(FrozenInstanceError):
        space.name = "other"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(space)) == space


def test_a_data_set_given_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = MINIMAL.replace("dataset: mp-elastic-2015", "dataset: {path: my.csv}").replace(
        "log10_K_VRH", "hardness"
    )
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "my.csv").touch()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load(tmp_path, text).data.dataset == tmp_path / "elsewhere" / "my.csv"  # the current folder
    (tmp_path / "my.csv").touch()
    space = load(tmp_path, text, "data.split=column", "data.unit=GPa")
    assert space.data.dataset == tmp_path / "my.csv"  # beside the file comes first
    assert space.data.split == {"hardness": SplitSpec("column")}
    assert space.data.unit == "GPa"
    assert load(tmp_path, text, f"data.dataset.path={tmp_path}").data.dataset == tmp_path


def test_official_splits_are_for_the_data_sets_that_have_one(tmp_path: Path) -> None:
    space = load(tmp_path, MINIMAL, "data.dataset=mp-2018.6.1", "data.split=official")
    assert space.data.split == {"log10_K_VRH": SplitSpec("official")}
    with pytest.raises(SpaceError, match="mp-elastic-2015 has no official split"):
        load(tmp_path, MINIMAL, "data.split=official")


def test_official_folds(tmp_path: Path) -> None:
    matbench = "data.dataset=matbench-log_kvrh"
    space = load(tmp_path, MINIMAL, matbench, "data.split={fold: 3}")
    spec = space.data.split["log10_K_VRH"]
    assert (spec.kind, spec.fold, spec.val, spec.seed) == ("fold", 3, 0.1, 123)
    other = load(tmp_path, MINIMAL, matbench, "data.split={fold: 4, val: 0.2, seed: 1}")
    assert other.digest != space.digest
    for split, complaint in {
        "official": r"one of the official folds .* \{fold: 0\} to \{fold: 4\}",
        "{fold: 5}": "a fold from 0 to 4",
        "{fold: -1}": "a whole number of at least 0",
        "{fold: 0, test: 0.1}": "unknown key 'test'",
        "{fold: 0, val: 1.0}": "a part between 0 and 1",
    }.items():
        with pytest.raises(SpaceError, match=complaint):
            load(tmp_path, MINIMAL, matbench, f"data.split={split}")
    with pytest.raises(SpaceError, match="mp-elastic-2015 has no official folds"):
        load(tmp_path, MINIMAL, "data.split={fold: 0}")


def test_the_published_configuration_comes_first_clipped_to_the_space(tmp_path: Path) -> None:
    space = load(
        tmp_path,
        MINIMAL.replace(
            "{toy: {}}",
            """
  toy:
    swa_epochs: {choices: [0, 5]}
    depth: {int: [1, 3]}
    scale: {float: [0.7, 2.5]}
    reach: {choices: [1, 2]}
  rival:
    lr: {float: [1.0e-4, 2.0e-3], log: true}
    loss: {choices: [l1, smooth_l1]}
    batch_size: {int: [64, 256]}
""",
        ),
    )
    toy, rival = space.models["toy"], space.models["rival"]
    assert toy.first == {"swa_epochs": 5, "depth": 3, "scale": 1.4, "reach": 1}
    assert rival.first == {"lr": 2e-3, "loss": "l1", "batch_size": 256}
    assert toy.published["swa_epochs"] == 50
    assert rival.published["lr"] == 0.01
    assert space.notes == (
        "toy: published swa_epochs 50 is not among the choices [0, 5]; 5 is tried first",
        "toy: published depth 4 is outside the searched range [1, 3]; 3 is tried first",
        "toy: published reach adaptive is not among the choices [1, 2]; 1 is tried first",
        "rival: published lr 0.01 is outside the searched range [0.0001, 0.002]; 0.002 is tried first",
        "rival: published loss mse is not among the choices [l1, smooth_l1]; l1 is tried first",
        "toy: swa_epochs is searched, but asha stops trials before their last epochs, which are averaged: "
        "compare val_mae with val_mae_raw of the same trial",
    )


def test_an_average_over_a_tenth_of_the_epochs_is_published_as_such(tmp_path: Path) -> None:
    text = MINIMAL.replace("{toy: {}}", "{rival: {swa_epochs: {choices: [0, 3, 9]}}}")
    assert load(tmp_path, text).models["rival"].first == {"swa_epochs": 3}  # a tenth of its 30 epochs


def test_resolve_puts_recipe_constants_and_values_together(tmp_path: Path) -> None:
    text = MINIMAL.replace(
        "{toy: {}}",
        "{toy: {depth: {int: [1, 4]}, scale: 2}, rival: {recipe: published, lr: {float: [1, 2]}}}",
    )
    space = load(tmp_path, text, "train={batch_size: 32, clip_norm: 2}")
    assert space.resolve("toy", {"depth": 2}) == (
        ToyConfig(depth=2, scale=2.0),
        TrainConfig(epochs=20, batch_size=32, clip_norm=2.0),
    )
    model, train = space.resolve("rival", {"lr": 1.5}, epochs=7)
    assert model == ToyConfig()
    assert train == TrainConfig(epochs=7, batch_size=32, clip_norm=2.0, lr=1.5, loss="mse")
    assert type(space.resolve("toy", {"depth": 2})[0].scale) is float


def test_resolve_wants_the_searched_parameters_and_no_others(tmp_path: Path) -> None:
    space = load(tmp_path, MINIMAL.replace("toy: {}", "toy: {depth: {int: [1, 4]}}"))
    with pytest.raises(ValueError, match=r"params of toy: expected depth, got none"):
        space.resolve("toy", {})
    with pytest.raises(ValueError, match=r"params of toy: expected depth, got depth, width"):
        space.resolve("toy", {"depth": 1, "width": 8})
    with pytest.raises(ValueError, match=r"model_key: expected one of toy, got 'other'"):
        space.resolve("other", {})
    with pytest.raises(ValueError, match=r"depth: expected 1 to 16 blocks, got 40"):
        space.resolve("toy", {"depth": 40})


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (  # only the two ends together
            "depth: {int: [1, 4]}, scale: {float: [0.7, 2.8]}",
            "5: models.toy.scale: expected less than 2.8 for one block, got 2.8 (with depth 1)",
        ),
        (  # only inner values beside another choice: both ends are multiples of 32
            "width: {int: [64, 128], step: 16}, heads: {choices: [8, 32]}",
            "5: models.toy.heads: expected a divisor of the width ",
        ),
    ],
)
def test_impossible_combinations_are_found_in_advance(tmp_path: Path, block: str, message: str) -> None:
    with pytest.raises(SpaceError) as error:
        load(tmp_path, MINIMAL.replace("toy: {}", f"toy: {{{block}}}"))
    assert message in str(error.value)


def test_a_published_recipe_averages_its_share_of_a_shorter_run(tmp_path: Path) -> None:
    space = load(tmp_path, MINIMAL, "train.recipe=published", "final.epochs=100")
    assert space.resolve("toy", {})[1] == TrainConfig(epochs=20, swa_epochs=2)
    assert space.resolve("toy", {}, epochs=100)[1].swa_epochs == 10
    assert space.notes == (
        "toy: the published recipe is for 500 epochs, the budget's 20 rule; "
        "2 of them are averaged (the published share, 50)",
    )
    given = load(tmp_path, MINIMAL, "train={recipe: published, swa_epochs: 4}")
    assert given.resolve("toy", {}, epochs=100)[1].swa_epochs == 4
    assert given.notes == ("toy: the published recipe is for 500 epochs, the budget's 20 rule",)


def test_a_published_milestone_lies_at_its_share_of_another_run(tmp_path: Path) -> None:
    models = {"rival": replace(MODELS["rival"], published_recipe=STEPS)}
    path = tmp_path / "space.yaml"
    path.write_text(MINIMAL.replace("toy: {}", "rival: {recipe: published}"))
    space = load_space(path, models=models)
    assert [space.resolve("rival", {}, epochs)[1].milestone for epochs in (400, 20, 1)] == [300, 15, 1]
    given = load_space(path, ["models.rival.milestone=7"], models)
    assert given.resolve("rival", {})[1].milestone == 7


def test_a_searched_recipe_starts_from_the_published_one(tmp_path: Path) -> None:
    text = MINIMAL.replace("toy: {}", "rival: {recipe: {choices: [common, published]}, loss: smooth_l1}")
    space = load(tmp_path, text)
    rival = space.models["rival"]
    assert rival.first == {"recipe": "published"}
    assert rival.size() == 2
    assert (rival.recipe, rival.recipe_of({"recipe": "common"})) == ("common or published", "common")
    _, common = space.resolve("rival", {"recipe": "common"})
    _, published = space.resolve("rival", {"recipe": "published"})
    assert common == TrainConfig(epochs=20, loss="smooth_l1")
    assert published == TrainConfig(epochs=20, lr=0.01, batch_size=256, loss="smooth_l1")
    assert any("published recipe is for 30 epochs" in note for note in space.notes)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{choices: [common, publishd]}", "expected one of common, published, got 'publishd'"),
        ("{int: [0, 1]}", "expected one of common, published, got 0"),
        ("[common]", "expected one of common, published, got ['common']"),
    ],
)
def test_an_impossible_recipe_is_refused(tmp_path: Path, value: str, message: str) -> None:
    with pytest.raises(SpaceError) as error:
        load(tmp_path, MINIMAL.replace("toy: {}", f"toy: {{recipe: {value}}}"))
    assert f"models.toy.recipe: {message}" in str(error.value)


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "search_spaces").glob("*.yaml")), ids=lambda path: path.name
)
def test_the_shipped_search_spaces_are_right(path: Path) -> None:
    text, _ = read_space(path)  # with what it includes
    shared = re.search(r"path: \.\./(shared/\S+?)[},\s]", text)
    if shared and not (REPOSITORY.parent / shared[1]).exists():
        pytest.skip(f"{shared[1]} is not beside the repository")
    space = load_space(path)
    for key, model in space.models.items():
        space.resolve(key, model.first)
        for epochs in space.final.epochs.values():
            space.resolve(key, model.first, epochs)


def test_final_epochs_may_differ_from_target_to_target(tmp_path: Path) -> None:
    both = "data.target=[log10_K_VRH, log10_G_VRH]"
    space = load(tmp_path, MINIMAL, both, "final.epochs={log10_K_VRH: 30, log10_G_VRH: 60}")
    assert space.final.epochs == {"log10_K_VRH": 30, "log10_G_VRH": 60}
    assert load(tmp_path, MINIMAL, both, "final.epochs=30").digest == space.digest
    for epochs, complaint in {
        "{log10_K_VRH: 30}": "expected a number of epochs for each target, got none for 'log10_G_VRH'",
        "{log10_K_VRH: 30, log10_G: 60}": "unknown target of this search 'log10_G'",
        "{log10_K_VRH: 30, log10_G_VRH: 0}": "a whole number of at least 1",
    }.items():
        with pytest.raises(SpaceError, match=complaint):
            load(tmp_path, MINIMAL, both, f"final.epochs={epochs}")


def test_the_quickstart_searches_what_it_promises() -> None:
    space = load_space(REPOSITORY / "search_spaces" / "quickstart.yaml")
    assert set(space.models) == {"crystalformer", "cgcnn"}
    assert set(space.models["crystalformer"].domains) == {
        "num_layers",
        "lattice_range",
        "r0",
        "swa_epochs",
        "lr",
    }
    first = space.models["crystalformer"].first
    assert (first["num_layers"], first["lattice_range"], first["r0"], first["lr"]) == (
        4,
        "adaptive",
        1.4,
        5e-4,
    )
    assert (
        "cgcnn: published lr 0.01 is outside the searched range [0.0001, 0.002]; 0.002 is tried first"
        in space.notes
    )
