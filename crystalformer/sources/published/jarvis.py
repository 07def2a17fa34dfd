"""Lists of crystals in JARVIS' format: MEGNet's snapshot, dft_3d, OQMD; and MEGNet's own release.

Each record has `atoms`: `lattice_mat` (Å, rows), `coords`, `elements`, `cartesian`. MEGNet's own release has
a CIF text `structure` instead, an id `material_id` and other names of the targets.
"""

from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from crystalformer.data.datasets.row import Part
from crystalformer.sources.published.symbols import atomic_number
from crystalformer.sources.published.texts import json_elements, open_text
from crystalformer.sources.records import DataError, Record

ORIGINAL_ID = "material_id"
ORIGINAL_KEYS = {"e_form": "formation_energy_per_atom", "gap pbe": "band_gap"}


def read_jarvis(path: Path, part: Part, label: str | None) -> Iterator[Record]:
    """The records of a file, in its order.

    Raises:
        DataError: another format.
    """
    with open_text(path) as text:
        for number, entry in enumerate(json_elements(text, path), start=1):
            yield entry_record(entry, part, label, f"{path.name}, record {number}")


def entry_record(entry: Any, part: Part, label: str | None, where: str) -> Record:
    """One entry of such a list.

    Raises:
        DataError: it is none.
    """
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected an object, got {entry!r:.80}")
    original = part.id_key not in entry and ORIGINAL_ID in entry
    id_key = ORIGINAL_ID if original else part.id_key
    keys = {name: ORIGINAL_KEYS.get(key, key) if original else key for name, key in part.keys.items()}
    for key in (id_key, *keys.values()):
        if key not in entry:
            raise DataError(
                f"{where}: expected the key {key!r}, got {', '.join(map(repr, list(entry)[:12]))}"
            )
    values = {name: value for name, key in keys.items() if (value := number(entry[key])) is not None}
    id_ = str(entry[id_key])
    if isinstance(entry.get("atoms"), Mapping):
        return Record(id_, where, "arrays", arrays(entry["atoms"], where), values, label)
    if isinstance(entry.get("structure"), str):
        return Record(id_, where, "text", entry["structure"], values, label)
    raise DataError(
        f"{where}: expected the key 'atoms' or 'structure', got {', '.join(map(repr, list(entry)[:12]))}"
    )


def arrays(atoms: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Species, lattice and fractional coordinates of a JARVIS `atoms` entry.

    Raises:
        DataError: a key is missing.
    """
    try:
        lattice, coords, elements = atoms["lattice_mat"], atoms["coords"], atoms["elements"]
        cartesian = atoms["cartesian"]
    except KeyError as error:
        raise DataError(
            f"{where}: atoms: expected the key {error}, got {', '.join(map(repr, atoms))}"
        ) from None
    try:
        if cartesian:
            coords = np.linalg.solve(np.array(lattice, float).T, np.array(coords, float).T).T
    except (
        ValueError,
        TypeError,
    ):  # no numbers, or a singular lattice: the crystal is refused with its reason
        pass
    species = [atomic_number(symbol) for symbol in elements] if isinstance(elements, list) else []
    return {"species": species, "lattice": lattice, "frac": coords}


def number(value: object) -> float | None:
    """A finite number, or None for what these files write in its place ("na", NaN, null)."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)
