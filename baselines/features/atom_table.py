"""The table of element properties of CGCNN, which ALIGNN, GATGNN, Matformer, PotNet and ComFormer use, too.

T. Xie and J. C. Grossman, Phys. Rev. Lett. 120, 145301 (2018), supplement; `cgcnn_atoms.csv` says where its
entries come from. It ends at Z = 100, and its rows for La and Ce; Sm and Gd; Ho and Er; Th and Np; Am and
Cm; Bk, Cf, Es and Fm are equal: a model that sees nothing else of an element cannot tell these apart.
"""

import csv
from functools import cache
from importlib.resources import files

import torch
from jaxtyping import Float
from torch import Tensor

BLOCKS = {  # columns of cgcnn_atoms.csv and the width of each one-hot block; 92 entries in all
    "group": 19,
    "period": 7,
    "electronegativity": 10,
    "covalent_radius": 10,
    "valence_electrons": 12,
    "ionization_energy": 10,
    "electron_affinity": 10,
    "block": 4,
    "atomic_volume": 10,
}
LAST_ELEMENT = 100


@cache
def _atom_rows() -> tuple[tuple[int, ...], ...]:
    text = files("baselines.features").joinpath("cgcnn_atoms.csv").read_text(encoding="utf-8")
    rows = [(0,) * sum(BLOCKS.values())]  # Z = 0 is no element
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        entries = []
        for name, width in BLOCKS.items():
            entries += [int(row[name] == str(position)) for position in range(width)]
        rows.append(tuple(entries))
    return tuple(rows)


def atom_table() -> Float[Tensor, "101 92"]:
    """The element properties f of CGCNN, zeros and ones; row Z, row 0 is empty."""
    return torch.tensor(_atom_rows(), dtype=torch.float32)
