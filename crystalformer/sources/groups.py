"""The groups that crystals can be split by: compositions, elements, prototypes.

| groups | a crystal's group |
|---|---|
| `composition` | its reduced formula: polymorphs are together |
| `element` | one for each of its elements |
| `prototype` | its anonymous formula, Pearson symbol, space group and Wyckoff positions, as AFLOW labels them: `AB_cF8_225_a_b` is rock salt, whatever its elements (M. J. Mehl et al., Comput. Mater. Sci. 136 (2017) S1) |

Labels of prototypes are pymatgen's, of spglib's symmetry within 0.1 Å; equivalent choices of the origin give
the same label. Where no symmetry is found, the group is `unknown`. Of a mixed site the most frequent element
counts. Prototypes are found once, by all cores, and kept beside the store.
"""  # noqa: E501

import multiprocessing
import warnings
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version

import numpy as np

from crystalformer.data.array_cache import cores, open_arrays, with_progress
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.array_writers import ArrayWriter
from crystalformer.data.crystal import Crystal
from crystalformer.sources.descriptions import composition
from crystalformer.sources.sites import structure_of

UNKNOWN = "unknown"
FEW = 200  # crystals for which starting further processes takes longer than it saves
PORTION = 25  # crystals that a process takes at a time


def group_names(store: ArrayStore, kind: str) -> dict[str, tuple[str, ...]]:
    """Id -> names of the crystal's groups, of all crystals of the store.

    Raises:
        ValueError: another kind of groups.
    """
    if kind == "prototype":
        return {id_: (name,) for id_, name in zip(store.ids, prototypes(store), strict=True)}
    if kind not in ("composition", "element"):
        raise ValueError(f"split.group: expected composition, element or prototype, got {kind!r}")
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that noble gases have no electronegativity to order a formula by
        for row, id_ in enumerate(store.ids):
            formula, elements = composition(store.crystal(row))
            names[id_] = (formula,) if kind == "composition" else elements
    return names


def prototypes(store: ArrayStore) -> list[str]:
    """The prototype of each crystal, in the order of the store."""
    identity = {"rule": "prototypes", **{name: version(name) for name in ("spglib", "pymatgen-core")}}

    def build(writer: ArrayWriter) -> None:
        crystals = (store.crystal(row) for row in range(len(store)))
        writer.save("labels", np.array([label.encode() for label in _labels(crystals, len(store))]))

    found = open_arrays(store, store.path / "cache", "prototypes", identity, build)["labels"]
    return [label.decode() for label in found.tolist()]


def _labels(crystals: Iterable[Crystal], count: int) -> list[str]:
    if count <= FEW or cores() == 1:
        return list(map(prototype, crystals))
    spawned = multiprocessing.get_context("spawn")  # a fork would copy the locks of other threads
    with ProcessPoolExecutor(cores(), mp_context=spawned) as pool:
        return list(with_progress(pool.map(prototype, crystals, chunksize=PORTION), count, "prototypes"))


def prototype(crystal: Crystal) -> str:
    """The label of one crystal, or `unknown`."""
    from pymatgen.analysis.prototypes import get_protostructure_label_from_spglib

    ordered = Crystal(crystal.id, crystal.lattice, crystal.frac_coords, crystal.numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            label = get_protostructure_label_from_spglib(structure_of(ordered), raise_errors=True)
        except Exception:  # pymatgen and spglib raise errors of many kinds where symmetry is not found
            return UNKNOWN
    return label.partition(":")[0]
