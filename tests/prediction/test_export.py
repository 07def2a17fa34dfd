"""Exported folders behave as their run, need little to load, and say what they are."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

import suite
from crystalformer.data.catalog import DATASETS
from crystalformer.data.crystal import Crystal
from crystalformer.sources.bundled import read_bundled
from suite.export import main, parser
from suite.prediction.locate import PRETRAINED, pretrained
from suite.prediction.saved import UnusableModel

ROOT = Path(__file__).resolve().parents[2]
CSCL = Crystal("CsCl", 4.12 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17])
XENON = Crystal("Xe", 30 * np.eye(3), [[0, 0, 0]], [54])
URL = {"type": "string", "pattern": "^https://"}
TEXT, DATE, NUMBER = (
    {"type": "string"},
    {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
    {"type": "number"},
)
# Facts of the JSON schema of matbench-discovery's model files; `training_set` is an enumeration there.
DISCOVERY = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "authors", "date_added", "date_published", "doi", "matbench_discovery_version", "model_name",
        "model_params", "model_type", "model_version", "n_estimators", "paper", "repo", "requirements",
        "targets",
        "test_task", "train_task", "trained_for_benchmark", "training_set",
    ],
    "properties": {
        "model_name": TEXT, "model_version": TEXT, "matbench_discovery_version": TEXT,
        "date_added": DATE, "date_published": DATE, "repo": URL, "doi": URL, "paper": URL,
        "authors": {"type": "array", "items": {"type": "object", "required": ["name"]}},
        "requirements": {"type": "object", "additionalProperties": TEXT},
        "trained_for_benchmark": {"type": "boolean"},
        "training_set": {"type": "array", "items": TEXT},
        "hyperparams": {
            "type": "object",
            "properties": {
                "learning_rate": NUMBER, "batch_size": NUMBER, "epochs": NUMBER, "optimizer": TEXT,
            },
        },
        "notes": {"type": "object", "properties": {"Description": TEXT, "Training": TEXT}},
        "model_params": {"type": "number", "minimum": 0},
        "n_estimators": {"type": "number", "minimum": 1},
        "train_task": {"enum": ["RP2RE", "RS2RE", "S2E", "S2RE", "S2EF", "S2EFS", "S2EFSM"]},
        "test_task": {"enum": ["IP2E", "IS2E", "IS2RE", "IS2RE-SR", "IS2RE-BO"]},
        "model_type": {"enum": ["GNN", "UIP", "BO-GNN", "Fingerprint", "Transformer", "RF"]},
        "targets": {"enum": ["E", "EF_C", "EF_D", "EFS_C", "EFS_D", "EFS_CM", "EFS_DM"]},
        "openness": {"enum": ["OSOD", "OSCD", "CSOD", "CSCD"]},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exports") / "my-model"
    assert main([str(run), "--model", "crystalformer", "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("model", ["crystalformer", "megnet"])
def test_an_exported_folder_answers_as_the_run_does(run: Path, tmp_path: Path, model: str) -> None:
    assert main([str(run), "--model", model, "--out", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "config.json", "matbench_discovery.yml", "model.safetensors", "model_card.md",
    ]  # fmt: skip
    expected = suite.load(run, model).predict([CSCL, XENON])
    assert [bool(p.error) for p in expected] == [False, model == "megnet"]  # it needs a neighbour within 4 Å
    assert list(map(repr, suite.load(tmp_path / "out").predict([CSCL, XENON]))) == list(map(repr, expected))
    assert expected[0].warning == "Cl, Cs not in any of the 32 training crystals"
    # it can be exported again, in half the space
    assert main([str(tmp_path / "out"), "--out", str(tmp_path / "half"), "--half"]) == 0
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("out", "half")]
    assert sizes[1] < 0.7 * sizes[0]
    [prediction] = suite.load(tmp_path / "half").predict(CSCL)
    assert prediction.value == pytest.approx(expected[0].value, rel=2e-3)


def test_loading_needs_no_ray_no_optuna_no_pymatgen_and_no_run(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "elsewhere")
    code = f"""
import sys
for name in ("ray", "optuna", "pymatgen", "pandas", "pyarrow", "sklearn", "spglib", "ase"):
    sys.modules[name] = None
import suite
cell = [[4.12, 0, 0], [0, 4.12, 0], [0, 0, 4.12]]
prediction, = suite.load({str(tmp_path / "elsewhere")!r}).predict(
    {{"species": [55, 17], "lattice": cell, "frac": [[0, 0, 0], [0.5, 0.5, 0.5]]}}
)
print(prediction.value)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(suite.load(exported).predict(CSCL)[0].value, abs=1e-6)


def test_damage_is_told(exported: Path, tmp_path: Path) -> None:
    def damaged(name: str, content: bytes) -> Path:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        shutil.copytree(exported, folder)
        (folder / name).write_bytes(content)
        return folder

    weights = (exported / "model.safetensors").read_bytes()
    config = json.loads((exported / "config.json").read_text())
    for folder, expected in [
        (damaged("model.safetensors", weights[:-1] + b"\xff"), r"model\.safetensors: expected SHA-256"),
        (damaged("config.json", b"{"), "config.json: expected an exported model, got a damaged file"),
        (
            damaged("config.json", json.dumps(config | {"format": 9}).encode()),
            "format 9, this version reads 1",
        ),
        (damaged("config.json", b'{"format": 1, "targets": [{}]}'), "damaged file"),
    ]:
        with pytest.raises(UnusableModel, match=expected):
            suite.load(folder)
    with pytest.raises(UnusableModel, match="expected crystalformer, which was exported, got 'cgcnn'"):
        suite.load(exported, "cgcnn")


def test_wrong_exports_are_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    for arguments, expected in [
        (["absent", "--out", "x"], "absent: expected a run"),
        ([str(run), "--model", "cgcnn", "--out", str(tmp_path / "mine")], "got one with other files"),
        ([str(run), str(run), "--out", "x"], "RUN: expected one, got 2"),
        (
            [str(run), "--format", "matbench", "--out", "x"],
            "expected those of one data set matbench-..., got small",
        ),
        (
            [str(run), "--format", "jarvis", "--target", "gap", "--out", "x"],
            "--target: expected one of log10_K_VRH",
        ),
    ]:
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert expected in said
        assert said.count("\n") == 1
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_the_card_says_what_was_measured(run: Path, exported: Path) -> None:
    card = (exported / "model_card.md").read_text()
    [target] = suite.load(exported).targets
    for part in ("val", "test"):
        assert f"{target.about['errors'][part]['mae']:.4f}" in card
    assert target.about["split"]["hash"] in card
    assert "Xe" in card.partition("never seen:")[2]
    assert "Licence" in card
    assert "Taniai et al., ICLR 2024" in card


def test_the_metadata_have_the_form_of_matbench_discovery(run: Path, exported: Path) -> None:
    for folder in (exported, *(PRETRAINED / name for name in pretrained())):
        content = YAML(typ="safe").load((folder / "matbench_discovery.yml").read_text())
        plain = json.loads(json.dumps(content, default=str))
        assert not [error.message for error in Draft7Validator(DISCOVERY).iter_errors(plain)]
    del plain["doi"]
    assert list(Draft7Validator(DISCOVERY).iter_errors(plain))


@pytest.mark.parametrize("name", pretrained())
def test_the_models_of_the_package_are_small_and_answer(name: str) -> None:
    folder = PRETRAINED / name
    assert (folder / "model.safetensors").stat().st_size <= 4_000_000
    assert (folder / "model_card.md").is_file()
    predictor = suite.load(name)
    assert {target.target for target in predictor.targets} == {"log10_K_VRH", "log10_G_VRH"}
    crystals = read_bundled(DATASETS["mp-elastic-2015"])[:40]
    found = predictor.predict(crystals)
    for target, spread in (("log10_K_VRH", 0.24), ("log10_G_VRH", 0.27)):  # mean absolute deviations
        pairs = zip(crystals, (p for p in found if p.target == target), strict=True)
        assert np.mean([abs(p.value - crystal.targets[target]) for crystal, p in pairs]) < spread / 3
    assert not [p.warning or p.error for p in found if p.warning or p.error]


def test_the_help_fits_a_screen() -> None:
    assert len(parser().format_help().splitlines()) <= 40
