"""Fixed shapes for batches of varying size: a CUDA graph is captured once for each.

A capacity is a number of atoms and one of images. Batches are padded to the smallest capacity of a ladder
that holds them; a step of the ladder is so small that little is wasted, and so large that there are few.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

SAMPLES = 256  # random batches, from which the range of sizes is estimated
RUNGS = 10  # from the smallest of them to the largest
SMALLEST_STEP = 1.03


class Capacity(NamedTuple):
    """Rows of a padded batch: atoms, one of them at least padding, and images, at least one for each atom."""

    atoms: int
    images: int


@dataclass(frozen=True)
class CapacityLadder:
    """Capacities that grow by the same factor from one to the next.

    Attributes:
        atoms: atoms of the rung 0.
        images: images of the rung 0.
        step: the factor, above 1.
    """

    atoms: float
    images: float
    step: float

    def holding(self, atoms: int, images: int) -> Capacity:
        """The smallest capacity for a batch of so many atoms and images, padding not counted."""
        padded = max((atoms + 1) / self.atoms, images / self.images)
        rung = math.ceil(math.log(padded) / math.log(self.step) - 1e-9)
        while True:
            size = self.step**rung
            capacity = Capacity(math.ceil(self.atoms * size), math.ceil(self.images * size))
            # each atom of the padding needs an image
            if capacity.atoms > atoms and capacity.images - images >= capacity.atoms - atoms:
                return capacity
            rung += 1


def ladder_for(
    atoms: Int[np.ndarray, " crystals"], images: Int[np.ndarray, " crystals"], batch_size: int
) -> CapacityLadder:
    """A ladder for random batches of crystals with these numbers of atoms and images.

    The same arguments give the same ladder.
    """
    generator = np.random.default_rng(0)
    count = min(batch_size, len(atoms))
    drawn = [generator.choice(len(atoms), count, replace=False) for _ in range(SAMPLES)]
    samples = np.array([(atoms[rows].sum() + 1, images[rows].sum()) for rows in drawn], dtype=float)
    mean = samples.mean(0)
    sizes = (samples / mean).max(1)
    step = max(SMALLEST_STEP, (sizes.max() / sizes.min()) ** (1 / RUNGS))
    return CapacityLadder(float(mean[0]), float(mean[1]), float(step))
