"""The bundled data sets: what the catalogue says of them, exact values, and that they read quickly."""

import gzip
import json
import os
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from crystalformer.data.catalog import DATASETS, Dataset
from crystalformer.data.crystal import Crystal
from crystalformer.sources.bundle import bundle
from crystalformer.sources.bundle import main as bundle_main
from crystalformer.sources.bundled import BUNDLED, read_bundled
from crystalformer.sources.records import DataError

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data"
BUNDLES = {name: dataset.bundle for name, dataset in DATASETS.items() if dataset.bundle is not None}
EVERY = pytest.mark.parametrize("dataset", [DATASETS[name] for name in BUNDLES], ids=BUNDLES)

needs_json_lines = pytest.mark.skipif(
    not all((SHARED / bundle.origin).is_file() for bundle in BUNDLES.values()),
    reason="the JSON lines that the bundled files were made from are not beside the repository",
)


@EVERY
def test_counts_targets_and_ids_are_the_catalogues(dataset: Dataset) -> None:
    crystals = read_bundled(dataset)
    assert len(crystals) == dataset.crystals == len({crystal.id for crystal in crystals})
    assert all(set(crystal.targets) == set(dataset.targets) for crystal in crystals)
    assert not dataset.splits
    assert all(crystal.split is None for crystal in crystals)


def test_a_crystal_with_known_values() -> None:
    """mp-10, arsenic in a simple cubic cell; mp-10003, Nb4CoSi."""
    arsenic = read_bundled(DATASETS["mp-formation-2015"])[0]
    assert arsenic.id == "mp-10"
    assert arsenic.numbers.tolist() == [33, 33]
    assert arsenic.lattice[0].tolist() == [3.352752, 0.0, 1.935712]
    assert arsenic.targets == {"formation_energy_per_atom": 0.1074050600000005}
    compound = read_bundled(DATASETS["mp-elastic-2015"])[0]
    assert compound.id == "mp-10003"
    assert sorted(compound.numbers.tolist()) == [14] * 2 + [27] * 2 + [41] * 8
    assert compound.frac_coords[0].tolist() == [0.152391, 0.333153, 0.5]
    assert 10 ** compound.targets["log10_K_VRH"] == pytest.approx(194.268884359, rel=1e-12)


def test_all_files_together_stay_well_below_a_megabyte() -> None:
    assert sum(file.stat().st_size for file in BUNDLED.iterdir()) < 700_000


def test_attribution_and_licence_are_given() -> None:
    readme = (BUNDLED / "README.md").read_text()
    for dataset in (DATASETS[name] for name in BUNDLES):
        assert dataset.name in readme
        assert dataset.license in readme
        assert "doi:10." in dataset.citation
        for target in dataset.targets.values():
            assert target.unit in readme


@needs_json_lines
@EVERY
def test_every_value_is_that_of_the_json_lines(dataset: Dataset) -> None:
    with gzip.open(SHARED / BUNDLES[dataset.name].origin, "rt") as file:
        rows = [json.loads(line) for line in file]
    crystals = read_bundled(dataset)
    assert len(rows) == len(crystals)
    for row, crystal in zip(rows, crystals, strict=True):
        assert crystal.id == row["id"]
        assert crystal.numbers.tolist() == row["species"]
        assert crystal.lattice.tolist() == row["lattice"]
        assert crystal.frac_coords.tolist() == row["frac"]
        assert crystal.targets == {name: row["targets"][name] for name in dataset.targets}


@needs_json_lines
def test_the_script_makes_the_same_arrays_and_the_same_bytes_again(tmp_path: Path) -> None:
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        assert bundle_main([str(SHARED), "--out", str(folder)]) == 0
    for dataset in (DATASETS[name] for name in BUNDLES):
        made = tmp_path / "first" / BUNDLES[dataset.name].file
        assert made.read_bytes() == (tmp_path / "second" / BUNDLES[dataset.name].file).read_bytes()
        with np.load(made) as new, np.load(BUNDLED / BUNDLES[dataset.name].file) as committed:
            assert set(new) == set(committed)
            for name in new:
                assert new[name].dtype == committed[name].dtype
                np.testing.assert_array_equal(new[name], committed[name])


def made_up(targets: dict[str, float], step: float) -> list[Crystal]:
    rng = np.random.default_rng(0)
    coordinates = [
        np.round(rng.uniform(size=(3, 3)) / step) * step if step else rng.uniform(size=(3, 3)) for _ in "ab"
    ]
    return [Crystal(f"c{i}", 5 * np.eye(3), frac, [1, 2, 3], targets) for i, frac in enumerate(coordinates)]


@pytest.mark.parametrize(("step", "kind"), [(0.125, "i"), (0, "f")])
def test_values_with_more_digits_are_kept_as_floats(tmp_path: Path, step: float, kind: str) -> None:
    dataset = replace(DATASETS["mp-elastic-2015"], crystals=2)
    crystals = made_up({"log10_K_VRH": 0.1, "log10_G_VRH": 0.2}, step)
    path = bundle(dataset, crystals, tmp_path)
    changed = replace(BUNDLES[dataset.name], sha256=sha256(path.read_bytes()).hexdigest())
    read = read_bundled(replace(dataset, bundle=changed), tmp_path)
    for ours, theirs in zip(crystals, read, strict=True):
        np.testing.assert_array_equal(ours.frac_coords, theirs.frac_coords)
        assert ours.targets == theirs.targets
    with np.load(path) as arrays:
        assert arrays["frac_coords"].dtype.kind == kind
        assert arrays["lattices"].dtype.kind == "i"


def test_the_script_refuses_another_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = DATASETS["mp-elastic-2015"]
    with pytest.raises(DataError, match="expected 1181 crystals, got 2"):
        bundle(dataset, made_up({}, 0), tmp_path)
    with pytest.raises(DataError, match="expected all of log10_K_VRH, log10_G_VRH, got less for 'c0'"):
        bundle(replace(dataset, crystals=2), made_up({"log10_K_VRH": 1.0}, 0), tmp_path)
    assert bundle_main([str(tmp_path)]) == 2
    assert "matminer_elastic_tensor_2015.jsonl.gz: expected a file or folder" in capsys.readouterr().err


def test_a_damaged_or_missing_file_is_noticed(tmp_path: Path) -> None:
    dataset = DATASETS["mp-elastic-2015"]
    with pytest.raises(
        DataError, match=r"mp-elastic-2015.npz: expected the bundled data set .*, got no such file"
    ):
        read_bundled(dataset, tmp_path)
    content = bytearray((BUNDLED / BUNDLES[dataset.name].file).read_bytes())
    content[5000] ^= 1
    (tmp_path / BUNDLES[dataset.name].file).write_bytes(content)
    with pytest.raises(DataError, match=f"expected SHA-256 {BUNDLES[dataset.name].sha256}, got "):
        read_bundled(dataset, tmp_path)


def test_preparing_them_needs_neither_pymatgen_nor_torch(tmp_path: Path) -> None:
    script = """
import sys
import crystalformer.data.loader, crystalformer.data.splits, crystalformer.data.targets, crystalformer.metrics
from crystalformer.sources.convert import prepare
for name in ("mp-elastic-2015", "mp-formation-2015"):
    prepare(name, sys.argv[1])
print([name for name in ("pymatgen", "torch", "pandas", "scipy") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_catalogue_is_text_only() -> None:
    script = "import sys, crystalformer.data.catalog; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "False", done.stderr
