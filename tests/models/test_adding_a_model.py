"""docs/adding_a_model.md does what it says: its code runs, its model is registered, tested and trained."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract_checks import CHECKS, Subject, predicts_the_same, trains_every_parameter
from contract_crystals import SAME_CASES

import baselines
import suite.registry
from crystalformer.data.array_store import ArrayStore
from suite.experiment import Experiment
from suite.prepare import prepare_data
from suite.registry import MODELS
from suite.space.search_space import load_space
from suite.tasks import trial_task
from suite.trial import TrialRun

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "adding_a_model.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
[(_, FILE), (_, LINE), (_, USE), (_, SPACE), (_, COMMANDS)] = BLOCKS


@pytest.fixture(scope="module", autouse=True)
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The file in the package, the line in the registry; both are gone after these tests."""
    folder = tmp_path_factory.mktemp("baselines")
    (folder / "pairs.py").write_text(FILE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "__path__", [*baselines.__path__, str(folder)])
        module = importlib.import_module("baselines.pairs")
        patch.setitem(MODELS, "pairs", registry_with_the_line()["pairs"])
        assert MODELS["pairs"] is module.ENTRY
        yield
    sys.modules.pop("baselines.pairs")
    del baselines.pairs


def registry_with_the_line() -> dict:
    """What `suite/registry.py` gives with the line of the page in its place."""
    lines = LINE.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line.startswith(" "))
    [added] = [line[1:] for line in lines if line.startswith("+")]
    source = Path(suite.registry.__file__).read_text(encoding="utf-8")
    assert source.count(before) == 1, "the page shows lines that are not there"
    source = source.replace(before, before + added)
    namespace = {"__name__": "registry"}
    exec(compile(f"from baselines import pairs\n{source}", "suite/registry.py", "exec"), namespace)
    return namespace["MODELS"]


@pytest.fixture(scope="module")
def subject(pairs: None, store: ArrayStore, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return Subject(MODELS["pairs"], store, tmp_path_factory.mktemp("graphs"))


def test_the_line_adds_this_model_and_no_other(pairs: None) -> None:
    assert registry_with_the_line().keys() == MODELS.keys()
    assert [kind for kind, _ in BLOCKS] == ["python", "diff", "python", "yaml", "sh"]


@pytest.mark.parametrize("case", SAME_CASES)
def test_a_prediction_ignores_how_a_crystal_is_written(subject: Subject, case: str) -> None:
    predicts_the_same(subject, case)


@pytest.mark.parametrize("check", [*CHECKS, trains_every_parameter], ids=lambda check: check.__name__)
def test_the_rest_of_the_contract(subject: Subject, check) -> None:
    check(subject)


def test_the_lines_that_use_it_run() -> None:
    exec(USE, {})


def test_its_search_space_is_valid_and_its_first_trial_trains(tmp_path: Path) -> None:
    path = tmp_path / "pairs.yaml"
    path.write_text(SPACE, encoding="utf-8")
    space = load_space(path)
    assert set(space.models["pairs"].domains) == {"width", "radius", "lr"}
    data = prepare_data(space, tmp_path / "data")
    with Experiment.open(tmp_path / "runs", space, data, "command", fresh=False) as experiment:
        assignment = experiment.ledgers["log10_K_VRH"].next()
        run = TrialRun(trial_task(experiment, "log10_K_VRH", assignment))
        records = [run.step() for _ in range(space.budget.epochs)]
        run.close()
    assert run.trainer.finished
    assert records[-1].train_mae < records[0].train_mae


def test_the_files_and_commands_of_the_page_exist() -> None:
    for command in re.findall(r"python -m ([a-z._]+)", COMMANDS):
        assert importlib.util.find_spec(command), command
    for place in re.findall(r"`((?:baselines|suite|tests)/[\w/.]+)`", TEXT):
        assert (ROOT / place).exists() or place == "baselines/pairs.py", place
