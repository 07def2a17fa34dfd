"""Small files in the formats of the published data sets, made of made-up crystals."""

import gzip
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

SYMBOLS = ("Cs", "Cl", "Na", "Si", "O")
NUMBERS = {"Cs": 55, "Cl": 17, "Na": 11, "Si": 14, "O": 8}


def crystal(row: int) -> dict[str, Any]:
    """A made-up crystal of two atoms in a triclinic cell, other for every row."""
    rng = np.random.default_rng(row)
    lattice = np.diag(rng.uniform(3, 5, 3)) + rng.uniform(-0.3, 0.3, (3, 3))
    symbols = [SYMBOLS[row % len(SYMBOLS)], SYMBOLS[(row + 1) % len(SYMBOLS)]]
    frac = [[0.0, 0.0, 0.0], rng.uniform(0.3, 0.7, 3).round(4).tolist()]
    return {"symbols": symbols, "lattice": lattice.round(6).tolist(), "frac": frac}


def jarvis_atoms(row: int, cartesian: bool = False) -> dict[str, Any]:
    """The crystal as JARVIS writes it."""
    made = crystal(row)
    coords = (np.array(made["frac"]) @ np.array(made["lattice"])).tolist() if cartesian else made["frac"]
    return {
        "lattice_mat": made["lattice"], "coords": coords, "elements": made["symbols"],
        "abc": [1, 1, 1], "angles": [90, 90, 90], "cartesian": cartesian, "props": ["", ""],
    }  # fmt: skip


def structure(row: int) -> Any:
    """The crystal as a pymatgen structure."""
    from pymatgen.core import Structure

    made = crystal(row)
    return Structure(made["lattice"], made["symbols"], made["frac"])


def write_zip(path: Path, content: Any, member: str = "data.json") -> Path:
    """JSON inside a zip archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, json.dumps(content))
    return path


def write_matbench(path: Path, key: str, values: list[float]) -> Path:
    """pandas' split form of structures and values, gzipped, as matminer writes it."""
    rows = [[structure(row).as_dict(), value] for row, value in enumerate(values)]
    table = {"index": list(range(len(rows))), "columns": ["structure", key], "data": rows}
    path.write_bytes(gzip.compress(json.dumps(table).encode()))
    return path


def write_cdvae(path: Path, ids: list[str], columns: dict[str, list[float]]) -> Path:
    """A CSV with CIF texts, as pandas writes it."""
    import pandas as pd

    cifs = [str(structure(row).to(fmt="cif")) for row in range(len(ids))]
    pd.DataFrame({"material_id": ids, "cif": cifs, **columns}).to_csv(path)
    return path


def write_moduli(path: Path, key: str, values: dict[str, float], protocol: int = 4) -> Path:
    """A pickled list of JARVIS records whose values are NumPy's."""
    entries = [
        {"id": id_, key: np.float64(value), "atoms": jarvis_atoms(row)}
        for row, (id_, value) in enumerate(values.items())
    ]
    path.write_bytes(pickle.dumps(entries, protocol=protocol))
    return path
