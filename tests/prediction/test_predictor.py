"""`suite.load(...).predict(...)`: the numbers of the final runs, from any kind of structure, in any batch."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from trained_run import TINY

import suite
from crystalformer.data.crystal import Crystal
from crystalformer.sources.records import Record
from crystalformer.sources.structures import to_crystal
from crystalformer.sources.tables import open_table
from suite.prediction.saved import UnusableModel
from suite.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def crystals(run: Path) -> dict[str, Crystal]:
    rows = open_table(run.parents[1] / "small.jsonl").read().rows
    return {row.id: to_crystal(row) for row in rows if isinstance(row, Record)}


def final_predictions(run: Path, model: str) -> pd.Series:
    """Mean over the seeds of what the final runs predicted, by id."""
    found = [
        pd.read_parquet(path.with_name("predictions.parquet")).set_index("id")["y_pred"]
        for path in (run / "final").glob("*/run.json")
        if json.loads(path.read_text())["model"] == model
    ]
    assert len(found) == 2
    return sum(found) / 2


def test_the_tiny_models_are_all_models() -> None:
    assert set(TINY) == set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_predictions_are_those_of_the_final_runs_in_any_batch(
    run: Path, crystals: dict[str, Crystal], model: str
) -> None:
    predictor, expected = suite.load(run, model), final_predictions(run, model)
    among_others = {p.id: p for p in predictor.predict(crystals.values())}
    alone = [predictor.predict(crystals[id_])[0] for id_ in expected.index]
    assert {p.model for p in alone} == {model}
    # float32: sums in another order
    scale = np.abs(expected).max()
    for predictions in ([among_others[id_] for id_ in expected.index], alone):
        assert not [p.error for p in predictions if p.error]
        np.testing.assert_allclose([p.value for p in predictions], expected, atol=1e-6 * scale)
        assert all(p.uncertainty > 0 for p in predictions)


def test_the_model_best_on_validation_is_taken(run: Path) -> None:
    errors: dict[str, list[float]] = {}
    for path in (run / "final").glob("*/run.json"):
        record = json.loads(path.read_text())
        if not record.get("floor"):
            errors.setdefault(record["model"], []).append(record["metrics"]["val"]["mae"])
    (target,) = suite.load(run).targets
    assert target.model == min(errors, key=lambda model: sum(errors[model]))
    assert sorted(target.about["errors"]["val"]["mae_of_seeds"]) == sorted(errors[target.model])
    assert target.seeds == (0, 1)


def as_pymatgen(crystal: Crystal) -> object:
    from pymatgen.core import Structure

    return Structure(crystal.lattice, crystal.numbers, crystal.frac_coords)


class AseLike:
    """As much of ASE's `Atoms` as is read."""

    def __init__(self, crystal: Crystal, pbc: bool = True) -> None:
        self.cell, self.pbc = crystal.lattice, np.full(3, pbc)
        self._numbers, self._frac = crystal.numbers, crystal.frac_coords

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> object:
        raise AssertionError("one structure, not a collection")

    def get_atomic_numbers(self) -> np.ndarray:
        return self._numbers

    def get_scaled_positions(self, wrap: bool = True) -> np.ndarray:
        assert not wrap
        return self._frac


def as_arrays(crystal: Crystal) -> object:
    return {"species": crystal.numbers, "lattice": crystal.lattice, "frac": crystal.frac_coords}


@pytest.mark.parametrize("convert", [as_pymatgen, AseLike, as_arrays])
def test_structures_of_other_packages_are_the_same_crystals(
    run: Path, crystals: dict[str, Crystal], convert: Callable[[Crystal], object]
) -> None:
    predictor, some = suite.load(run, "cgcnn"), list(crystals.values())[:5]
    expected = predictor.predict(some)
    found = predictor.predict([convert(crystal) for crystal in some])
    assert [p.id for p in found] == [f"structure {number}" for number in range(1, 6)]
    np.testing.assert_allclose([p.value for p in found], [p.value for p in expected], rtol=1e-6)
    [alone] = predictor.predict(convert(some[2]))
    assert alone.value == pytest.approx(expected[2].value, rel=1e-6)


def test_ase_itself(run: Path, crystals: dict[str, Crystal]) -> None:
    ase = pytest.importorskip("ase")
    predictor, crystal = suite.load(run, "cgcnn"), crystals["mp-10015"]
    atoms = ase.Atoms(crystal.numbers, scaled_positions=crystal.frac_coords, cell=crystal.lattice, pbc=True)
    assert predictor.predict(atoms)[0].value == pytest.approx(predictor.predict(crystal)[0].value, rel=1e-6)
    [molecule] = predictor.predict(ase.Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.7]]))
    assert "pbc = [False, False, False]" in molecule.error


def test_what_is_wrong_with_one_keeps_none_from_an_answer(run: Path, crystals: dict[str, Crystal]) -> None:
    good = crystals["mp-10015"]
    heavy = Crystal("heavy", good.lattice, good.frac_coords, [103] * len(good))
    slab = AseLike(good, pbc=False)
    flat = {"species": [1], "lattice": np.diag([1, 1, 0]), "frac": [[0, 0, 0]]}
    found = suite.load(run, "cgcnn").predict([good, heavy, "my.cif", slab, flat, {"species": [1]}, good])
    assert [bool(p.error) for p in found] == [False, True, True, True, True, True, False]
    assert found[0].value == found[-1].value
    assert all(math.isnan(p.value) and math.isnan(p.uncertainty) for p in found if p.error)
    reasons = [
        "expected elements up to Z = 100, got Z = 103",
        "a Crystal or a mapping with species, lattice and frac, got str",
        "expected atoms that are periodic in three directions",
        "expected three cell vectors that span a volume",
        "got one without frac, lattice",
    ]
    for prediction, reason in zip(found[1:-1], reasons, strict=True):
        assert reason in prediction.error


def test_a_crystal_that_breaks_a_batch_is_found(run: Path, crystals: dict[str, Crystal]) -> None:
    good = crystals["mp-10015"]
    needle = Crystal("needle", np.diag([1e-3, 1e-3, 1e6]), [[0, 0, 0]], [14])
    found = suite.load(run, "crystalformer").predict([good, needle, good])
    assert [bool(p.error) for p in found] == [False, True, False]
    assert "expected cells" in found[1].error
    assert found[0].value == found[2].value


def test_no_structures_are_no_predictions(run: Path) -> None:
    assert suite.load(run).predict([]) == []


def test_crystals_unlike_those_of_training_get_a_value_and_a_warning(
    run: Path, crystals: dict[str, Crystal]
) -> None:
    good = crystals["mp-10015"]
    swollen = Crystal("swollen", 3 * good.lattice, good.frac_coords, good.numbers)
    noble = Crystal("noble", good.lattice, good.frac_coords, [54] * len(good))
    inside, outside, unseen = suite.load(run, "crystalformer").predict([good, swollen, noble])
    assert not inside.warning
    assert "a volume per atom of" in outside.warning
    assert "the closest atoms" in outside.warning
    assert unseen.warning.startswith("Xe not in any of the 32 training crystals")
    assert all(math.isfinite(p.value) for p in (inside, outside, unseen))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda run: (run / "search.json").write_text("{"), r"search\.json: expected JSON"),
        (lambda run: (run / "search.json").write_text("[]"), "expected the record of a search"),
        (lambda run: [p.unlink() for p in run.glob("final/*/run.json")], "got none .the search is finished"),
        (
            lambda run: [p.write_bytes(b"{") for p in run.glob("final/cgcnn-*/model.safetensors")],
            r"expected the weights of a trained model.*run the search again",
        ),
        (
            lambda run: [
                p.write_bytes((run.glob("final/schnet-*/model.safetensors").__next__()).read_bytes())
                for p in run.glob("final/cgcnn-*/model.safetensors")
            ],
            r"cgcnn: expected weights of this model, got others",
        ),
        (
            lambda run: [p.write_bytes(b"PAR1") for p in run.glob("final/cgcnn-*/predictions.parquet")],
            "expected the predictions of a final run",
        ),
    ],
)
def test_a_damaged_run_is_refused_in_one_message(
    run: Path, tmp_path: Path, damage: Callable[[Path], object], expected: str
) -> None:
    shutil.copytree(run, tmp_path / "run")
    damage(tmp_path / "run")
    with pytest.raises(UnusableModel, match=expected) as caught:
        suite.load(tmp_path / "run", "cgcnn")
    assert "\n" not in str(caught.value)


def test_a_model_that_was_not_trained_is_named_with_those_that_were(run: Path) -> None:
    with pytest.raises(UnusableModel, match=r"expected one of alignn, cgcnn, .*, got 'forest'"):
        suite.load(run, "forest")


def test_nothing_there_says_what_could_be(tmp_path: Path) -> None:
    for name, got in (("none", "nothing of that name"), (".", "a folder with neither search.json")):
        with pytest.raises(UnusableModel, match=rf"expected a run \(runs/<name>\).*{got}"):
            suite.load(tmp_path / name)


def test_loading_needs_neither_ray_nor_optuna_nor_the_data(run: Path, tmp_path: Path) -> None:
    code = f"""
import sys
for name in ("ray", "optuna", "sklearn", "tensorboard"):
    sys.modules[name] = None
import suite
cell = [[4.1, 0, 0], [0, 4.1, 0], [0, 0, 4.1]]
cscl = {{"species": [55, 17], "lattice": cell, "frac": [[0, 0, 0], [.5, .5, .5]]}}
prediction, = suite.load({str(run)!r}, "crystalformer").predict(cscl)
assert prediction.value == prediction.value, prediction
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
