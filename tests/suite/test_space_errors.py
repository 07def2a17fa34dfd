"""A mistake in a search space is answered with file, line, key, what was expected and the closest name."""

from pathlib import Path

import pytest
from toy_spaces import LINES, complaint

from suite.space.search_space import load_space


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("space.yaml")


ELASTIC = "dataset: mp-elastic-2015, target: log10_K_VRH"
MISTAKES = [
    # the whole file
    ("name", "nam: small", "1: nam: unknown key 'nam'; closest: name; valid: name, data, objective"),
    ("final", "trials: 4", "8: trials: unknown key 'trials'; 'trials' belongs in 'budget'"),
    ("final", "lr: 4", "8: lr: unknown key 'lr'; 'lr' belongs in 'train'"),
    (
        "name",
        "name: ../etc",
        "1: name: expected up to 100 letters, digits, '.', '_' and '-', not beginning with '.'",
    ),
    ("name", "name: .hidden", "1: name: expected up to 100 letters"),
    (
        "name",
        "name: 2024",
        "1: name: expected a name made of letters, digits, '.', '_' and '-' (write it in quotes)",
    ),
    ("name", "name: ", "1: name: expected a name made of letters, digits, '.', '_' and '-', got nothing"),
    # data
    (
        "data",
        "data: {dataset: mp-elastic-2015}",
        "2: data: missing key 'target'; required here: dataset, target",
    ),
    ("data", "data: mp-elastic-2015", "2: data: expected a mapping (key: value), got 'mp-elastic-2015'"),
    ("data", "data: {datset: x}", "2: data.datset: unknown key 'datset'; closest: dataset"),
    (
        "data",
        "data: {dataset: mp-elastic-2051, target: x}",
        "2: data.dataset: unknown data set 'mp-elastic-2051'; closest: mp-elastic-2015",
    ),
    (
        "data",
        "data: {dataset: mp-elastic-2015, target: log10_k_vrh}",
        "2: data.target: unknown target of mp-elastic-2015 'log10_k_vrh'; closest: log10_K_VRH",
    ),
    (
        "data",
        "data: {dataset: mp-elastic-2015, target: []}",
        "2: data.target: expected the name of a target or a list",
    ),
    (
        "data",
        "data: {dataset: mp-elastic-2015, target: [log10_K_VRH,\n  log10_K_VRH]}",
        "3: data.target[1]: 'log10_K_VRH' is listed twice",
    ),
    (
        "data",
        "data: {dataset: {path: my.csv}, target: x}",
        "2: data.dataset.path: expected an existing file or folder",
    ),
    (
        "data",
        "data: {dataset: {pth: my.csv}, target: x}",
        "2: data.dataset.pth: unknown key 'pth'; closest: path",
    ),
    (
        "data",
        "data: {dataset: {}, target: x}",
        "2: data.dataset: expected the name of a data set or {path: my.csv}",
    ),
    ("data", f"data: {{{ELASTIC}, unit: GPa}}", "2: data.unit: expected only beside dataset: {path: ...}"),
    (
        "data",
        f"data: {{{ELASTIC}, max_rejected: -1}}",
        "2: data.max_rejected: expected a whole number of at least 0",
    ),
    (
        "data",
        f"data: {{{ELASTIC}, split: official}}",
        "2: data.split: expected fractions, got 'official'; mp-elastic-2015 has no official split",
    ),
    (
        "data",
        f"data: {{{ELASTIC}, split: column}}",
        "2: data.split: expected fractions or official for mp-elastic-2015",
    ),
    ("data", f"data: {{{ELASTIC}, split: random}}", "2: data.split: expected fractions {train: 0.8"),
    (
        "data",
        "data: {dataset: {path: .}, target: x, split: official}",
        "expected fractions or column for a data set",
    ),
    (
        "data",
        f"data: {{{ELASTIC}, split: {{train: 0.8, val: 0.2, test: 0.2}}}}",
        "2: data.split: expected fractions that sum to at most 1, got train 0.8 + val 0.2 + test 0.2 = 1.2",
    ),
    (
        "data",
        f"data: {{{ELASTIC}, split: {{test: 0}}}}",
        "2: data.split.test: expected a fraction above 0, got 0",
    ),
    (
        "data",
        f"data: {{{ELASTIC}, split: {{sed: 0, test: 0.1}}}}",
        "2: data.split.sed: unknown key 'sed'; closest: seed",
    ),
    ("data", f"data: {{{ELASTIC}, split: {{trian: 0.8}}}}", "2: data.split: expected fractions"),
    (
        "data",
        "data: {dataset: mp-elastic-2015, target: [log10_K_VRH, log10_G_VRH],"
        " split: {log10_K_VRH: {seed: 1}}}",
        "2: data.split: expected a split for each target, got none for 'log10_G_VRH'",
    ),
    (
        "data",
        f"data: {{{ELASTIC}, split: {{log10_K_VRH: {{seed: 1}}, log10_G_VRH: {{seed: 1}}}}}}",
        "2: data.split.log10_G_VRH: unknown target of this search 'log10_G_VRH'; closest: log10_K_VRH",
    ),
    # objective
    ("final", "objective: mae", "8: objective: unknown objective 'mae'; closest: val_mae; valid: val_mae"),
    (
        "final",
        "objective: [parameters, val_mae]",
        "8: objective: expected val_mae as the first objective, got parameters, val_mae",
    ),
    # budget
    ("budget", "budget: {trials: 4}", "3: budget: missing key 'epochs'; required here: epochs"),
    (
        "budget",
        "budget: {trials: many, epochs: 2}",
        "3: budget.trials: expected a whole number of at least 1, got 'many'",
    ),
    (
        "budget",
        "budget: {trials: 4.0, epochs: 2}",
        "3: budget.trials: expected a whole number of at least 1, got 4.0",
    ),
    (
        "budget",
        "budget: {trials: 4, epochs: true}",
        "3: budget.epochs: expected a whole number of at least 1, got True",
    ),
    (
        "budget",
        "budget: {trials: 4, epochs: 0}",
        "3: budget.epochs: expected a whole number of at least 1, got 0",
    ),
    (
        "budget",
        "budget: {trials: 4, epochs: 2, hours: 0}",
        "3: budget.hours: expected a number of hours above 0, got 0",
    ),
    (
        "budget",
        "budget:\n  trials: 1\n  epochs: 2",
        "4: budget.trials: expected at least 2, one for the published configuration of each model, got 1",
    ),
    # search, resources, final
    (
        "search",
        "search: {sampler: tpa}",
        "4: search.sampler: unknown sampler 'tpa'; closest: tpe; valid: tpe, random",
    ),
    (
        "search",
        "search: {scheduler: null}",
        "4: search.scheduler: expected one of asha, hyperband, median, none, pbt, got nothing",
    ),
    (
        "search",
        "search: {grace_epochs: 30}",
        "4: search.grace_epochs: expected at most the 20 epochs of the budget, got 30",
    ),
    ("search", "search: {reduction: 1}", "4: search.reduction: expected a whole number of at least 2, got 1"),
    (
        "search",
        "search: {concurrent: 0}",
        "4: search.concurrent: expected a whole number of at least 1, got 0",
    ),
    ("search", "search: {seed: 4294967296}", "4: search.seed: expected a seed below 2^32"),
    ("resources", "resources: {cpu: 0}", "5: resources.cpu: expected a number of cores above 0, got 0"),
    (
        "resources",
        "resources: {gpu: all}",
        "5: resources.gpu: expected auto, 0, 1 or a part of a GPU such as 0.5, got 'all'",
    ),
    (
        "resources",
        "resources: {gpu: 0.4}",
        "5: resources.gpu: expected a part that divides a GPU evenly, such as 0.5 or 0.25 "
        "(20% would lie idle), got 0.4",
    ),
    (
        "resources",
        "resources: {gpu: 2}",
        "5: resources.gpu: expected at most 1 GPU; to spread a trial over several, write gpus_per_trial, "
        "got 2",
    ),
    (
        "resources",
        "resources: {gpus_per_trial: 2, gpu: 1}",
        "5: resources.gpu: expected one of gpu, gpus_per_trial and processes_per_trial",
    ),
    (
        "resources",
        "resources: {processes_per_trial: 2, gpu: 0.5}",
        "5: resources.processes_per_trial: expected gpu: 0 beside processes_per_trial; "
        "for several GPUs write gpus_per_trial",
    ),
    (
        "resources",
        "resources: {gpus_per_trial: 4, cpu: 2}",
        "5: resources.cpu: expected at least the 4 processes of a trial, which share its cores, got 2",
    ),
    (
        "final",
        "final: {seeds: []}",
        "8: final.seeds: expected a list of different whole numbers such as [0, 1, 2], got []",
    ),
    (
        "final",
        "final: {seeds: 3}",
        "8: final.seeds: expected a list of different whole numbers such as [0, 1, 2], got 3",
    ),
    ("final", "final: {seeds: [0, 0]}", "8: final.seeds[1]: 0 is listed twice"),
    ("final", "final: {seeds: [-1]}", "8: final.seeds[0]: expected a whole number of at least 0, got -1"),
    ("final", "final: {top: 0}", "8: final.top: expected a whole number of at least 1, got 0"),
]


@pytest.mark.parametrize(
    ("block", "line", "expected"), MISTAKES, ids=[line.splitlines()[0] for _, line, _ in MISTAKES]
)
def test_a_mistake_in_the_file(path: Path, block: str, line: str, expected: str) -> None:
    said = complaint(path, **{block: line})
    assert said.startswith("space.yaml:")
    assert expected in said


@pytest.mark.parametrize("block", ["name", "data", "budget", "models"])
def test_a_missing_block(path: Path, block: str) -> None:
    required = "required here: name, data, budget, models"
    assert complaint(path, **{block: None}) == f"space.yaml: missing key '{block}'; {required}"


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("budgt.trials=8", "budgt: unknown key 'budgt'; closest: budget; valid: name, data"),
        (
            "budget.trails=8",
            "budget.trails: unknown key 'trails'; closest: trials; valid: trials, epochs, hours",
        ),
        ("budget.trials=many", "budget.trials: expected a whole number of at least 1, got 'many'"),
        ("budget=", "budget: missing key 'epochs'; required here: epochs"),
        ("budget={epochs: 20}", "budget: missing key 'trials'; required with the sampler tpe"),
        ("models.cgcn.lr=0.1", "models.cgcn: unknown model 'cgcn'; closest: cgcnn"),
        ("models.cgcnn.radus=5", "models.cgcnn.radus: unknown parameter of cgcnn 'radus'; closest: radius"),
        (
            "name.first=x",
            "name: expected a name made of letters, digits, '.', '_' and '-', got a mapping with first",
        ),
    ],
)
def test_a_mistake_in_an_override_names_the_flag_instead_of_a_line(
    path: Path, setting: str, expected: str
) -> None:
    assert complaint(path, setting).startswith(f"--set {setting}: {expected}")


def test_a_mistake_in_the_file_that_an_override_removes_is_none(path: Path) -> None:
    path.write_text(
        "\n".join({**LINES, "budget": "budget: {trials: many, epochs: 20}"}.values()), encoding="utf-8"
    )
    assert load_space(path, ["budget.trials=6"]).budget.trials == 6
