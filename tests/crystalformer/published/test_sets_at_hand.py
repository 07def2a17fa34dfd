"""The sets beside the repository stand in for the downloads: same readers, same labels, same splits."""

import gzip
import json
import math
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published_files import write_zip

from crystalformer.data.catalog import DATASETS
from crystalformer.data.datasets.row import Target
from crystalformer.data.elements import SYMBOLS
from crystalformer.data.splits import LABELS, from_column
from crystalformer.sources.convert import prepare
from crystalformer.sources.published.census import check_unit
from crystalformer.sources.published.jarvis import read_jarvis
from crystalformer.sources.published.pickles import read_pickle
from crystalformer.sources.records import DataError
from crystalformer.sources.structures import to_crystal

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(),
    reason="the sets that stand in for the downloads (shared/data) are not beside the repository",
)
MEGNET, BULK, _ = DATASETS["mp-2018.6.1"].parts
JARVIS = DATASETS["jarvis-dft-3d-2021"]


@cache
def rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(SHARED / f"{name}.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


@cache
def published(name: str) -> dict[str, dict[str, float]]:
    with zipfile.ZipFile(SHARED / "splits" / f"{name}.json.zip") as archive:
        lists = json.loads(archive.read(f"{name}.json"))
    return {label: {id_: float(value) for id_, value in lists[label].items()} for label in LABELS}


def values(name: str, target: str) -> np.ndarray:
    return np.array([row["targets"][target] for row in rows(name) if target in row["targets"]])


def as_jarvis(row: dict[str, Any]) -> dict[str, Any]:
    elements = [SYMBOLS[z - 1] for z in row["species"]]
    return {"lattice_mat": row["lattice"], "coords": row["frac"], "elements": elements, "cartesian": False}


@pytest.mark.parametrize("name", ["megnet_36k", "megnet_topo_extra_15k", "pypi_megnet_subset"])
def test_split_and_labels_of_megnets_crystals_are_the_published_ones(name: str) -> None:
    energies, gaps = published("megnet_e_form"), published("megnet_gappbe")
    for row in rows(name):
        assert row["id"] in energies[row["split"]]
        assert abs(row["targets"]["e_form"] - energies[row["split"]][row["id"]]) < 1e-9
        assert abs(row["targets"]["gap_pbe"] - gaps[row["split"]][row["id"]]) < 1e-9


def test_split_and_labels_of_jarvis_crystals_are_the_published_ones() -> None:
    names = {
        "formation_energy_peratom": "formation_energy_per_atom",
        "optb88vdw_total_energy": "total_energy_per_atom",
        "optb88vdw_bandgap": "band_gap",
    }
    for name, target in names.items():
        lists = published(f"dft_3d_{name}")
        assert target in JARVIS.splits
        for row in rows("jarvis_mini"):
            if row.get("split") is not None:
                assert abs(row["targets"][name] - lists[row["split"]][row["id"]]) < 1e-4


def test_megnets_crystals_by_the_reader_of_the_download_and_by_path(tmp_path: Path) -> None:
    """The same crystals in JARVIS' format and as the JSON lines that a search names by path."""
    chosen = rows("megnet_36k")[::100]
    entries = [
        {
            "id": row["id"],
            "e_form": row["targets"]["e_form"],
            "gap pbe": row["targets"]["gap_pbe"],
            "atoms": as_jarvis(row),
        }
        for row in chosen
    ]
    records = list(read_jarvis(write_zip(tmp_path / "megnet.json.zip", entries), MEGNET, None))
    with gzip.open(tmp_path / "part.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in chosen)
    store = prepare(tmp_path / "part.jsonl.gz", tmp_path / "data")
    for number, record in enumerate(records):
        read, given = to_crystal(record), store.crystal(number)
        assert (read.id, read.numbers.tolist()) == (given.id, given.numbers.tolist())
        np.testing.assert_array_equal(read.lattice, given.lattice)
        np.testing.assert_array_equal(read.frac_coords, given.frac_coords)
        assert read.targets["band_gap"] == given.targets["gap_pbe"]
    split = from_column(store)
    for label in LABELS:
        assert set(getattr(split, label)) == {row["id"] for row in chosen if row["split"] == label}


def test_moduli_by_the_reader_of_the_pickles(tmp_path: Path) -> None:
    import pickle

    chosen = rows("mp_elastic_union")[:200]
    entries = [
        {"id": row["id"], "bulk modulus": np.float64(row["targets"]["log10_K_VRH"]), "atoms": as_jarvis(row)}
        for row in chosen
    ]
    (tmp_path / "bulk.pkl").write_bytes(pickle.dumps(entries))
    for row, record in zip(chosen, read_pickle(tmp_path / "bulk.pkl", BULK, "train"), strict=True):
        assert (record.id, record.targets) == (row["id"], {"log10_K_VRH": row["targets"]["log10_K_VRH"]})
        np.testing.assert_array_equal(to_crystal(record).frac_coords, np.array(row["frac"]))


@pytest.mark.parametrize(
    ("name", "theirs", "dataset", "target"),
    [
        ("megnet_36k", "e_form", "mp-2018.6.1", "formation_energy_per_atom"),
        ("megnet_36k", "gap_pbe", "mp-2018.6.1", "band_gap"),
        ("mp_elastic_union", "log10_K_VRH", "mp-2018.6.1", "log10_K_VRH"),
        ("mp_elastic_union", "log10_G_VRH", "mp-2018.6.1", "log10_G_VRH"),
        ("jarvis_mini", "formation_energy_peratom", "jarvis-dft-3d-2021", "formation_energy_per_atom"),
        ("jarvis_mini", "optb88vdw_total_energy", "jarvis-dft-3d-2021", "total_energy_per_atom"),
        ("jarvis_mini", "mbj_bandgap", "jarvis-dft-3d-2021", "band_gap_mbj"),
        ("perov_5_labelled", "heat_ref", "perov-5", "heat_ref"),
        ("perov_5_labelled", "heat_all", "perov-5", "heat_all"),
        ("perov_5_labelled", "dir_gap", "perov-5", "dir_gap"),
        ("matminer_elastic_tensor_2015", "log10_K_VRH", "mp-elastic-2015", "log10_K_VRH"),
    ],
)
def test_the_units_of_the_catalogue_hold_for_them(name: str, theirs: str, dataset: str, target: str) -> None:
    """Other crystals spread otherwise, so only the range is compared here."""
    known = DATASETS[dataset].targets[target]
    check_unit(name, target, Target(known.unit, known.label, usual=known.usual), values(name, theirs))


@pytest.mark.parametrize(
    ("name", "theirs", "factor", "target"),
    [
        ("mp_elastic_union", "K_VRH", 1.0, "log10_K_VRH"),
        ("mp_elastic_union", "log10_K_VRH", math.log(10), "log10_K_VRH"),
        ("mp_elastic_union", "log10_G_VRH", math.log(10), "log10_G_VRH"),
        ("megnet_36k", "e_form", 96.485, "formation_energy_per_atom"),
        ("megnet_36k", "e_form", 1000.0, "formation_energy_per_atom"),
    ],
    ids=["GPa", "ln K", "ln G", "kJ/mol", "meV"],
)
def test_other_units_are_noticed(name: str, theirs: str, factor: float, target: str) -> None:
    known = DATASETS["mp-2018.6.1"].targets[target]
    with pytest.raises(DataError, match="in which unit are they"):
        check_unit(name, target, known, factor * values(name, theirs))


def test_the_parts_of_perov_5_at_hand_have_the_published_sizes() -> None:
    counts = DATASETS["perov-5"].splits["heat_ref"].counts
    for label in ("val", "test"):
        assert sum(row["split"] == label for row in rows("perov_5_labelled")) == counts[label]
