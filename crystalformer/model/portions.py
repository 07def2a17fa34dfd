"""How the work on a batch is shared out: whole crystals, and large crystals in several portions.

A portion is a range of a crystal's atoms i, which receive. The portions follow from the crystal's size alone,
so that neither the number of threads nor the other crystals change a result. What belongs to the atoms j that
send, dk and dv, each portion sums for itself, in rows of its own, which are added up in order afterwards
(`add_up`). A crystal has at most `MOST` portions, so memory stays linear in atoms.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

ATOMS = 64  # at least, in a portion of a divided crystal
MOST = 4  # portions of a crystal


class Portions(NamedTuple):
    """The portions of a batch, those with the most images first.

    | field | meaning |
    |---|---|
    | `table` | crystal's first atom, its atoms, first i, last i + 1, row of the sums |
    | `rows` | rows of the sums over senders, at least one per atom |
    | `repeated` | (first atom, first row, atoms) of sums to be added to those of the atoms, in order |

    The atoms i are counted within the crystal.
    """

    table: Int[Tensor, "portions 5"]
    rows: int
    repeated: list[tuple[int, int, int]]

    def add_up(self, sums: Shaped[Tensor, " {self.rows} *row"]) -> Shaped[Tensor, " atoms *row"]:
        """Sums over senders as sums of atoms."""
        atoms = self.rows - sum(count for _, _, count in self.repeated)
        for first, row, count in self.repeated:
            sums[first : first + count] += sums[row : row + count]
        return sums[:atoms]


def share_out(sizes: Int[Tensor, " crystals"], offsets: Int[Tensor, " ends"]) -> Portions:
    """The portions of crystals with these sizes and images, `ImageList.offsets`."""
    atoms, ends = sizes.numpy(), offsets.numpy()
    counts = (atoms // ATOMS).clip(1, MOST)
    crystal = np.repeat(np.arange(len(atoms)), counts)
    part = np.arange(len(crystal)) - np.repeat(np.cumsum(counts) - counts, counts)
    first, size, count = (np.cumsum(atoms) - atoms)[crystal], atoms[crystal], counts[crystal]
    low, high = size * part // count, size * (part + 1) // count
    more = np.where(part > 0, size, 0)  # the first portion of a crystal has the rows of its atoms
    row = np.where(part > 0, atoms.sum() + np.cumsum(more) - more, first)
    table = np.stack([first, size, low, high, row], axis=1)
    order = np.argsort(ends[first + low] - ends[first + high], kind="stable")
    repeated = [(int(f), int(r), int(n)) for f, r, n in table[part > 0][:, [0, 4, 1]]]
    return Portions(torch.from_numpy(table[order]), int(atoms.sum() + more.sum()), repeated)
