"""All neighbours within a radius: SchNet, MEGNet, M3GNet."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Integer

from baselines.graphs.config_checks import check_lengths
from baselines.graphs.rule import Unrepresentable
from crystalformer.data.neighbors import NeighborList, radius_neighbors


@dataclass(frozen=True)
class WithinRadius:
    """An edge to every image of every atom within `radius` (Å, inclusive), nearest first.

    With `isolated_atoms` an atom may have no neighbour; without, such a crystal is `Unrepresentable`.
    """

    name: ClassVar[str] = "radius"
    version: ClassVar[int] = 1

    radius: float
    isolated_atoms: bool = True

    def __post_init__(self) -> None:
        check_lengths(self, "radius")

    def edges(
        self,
        lattice: Float[np.ndarray, "3 3"],
        frac_coords: Float[np.ndarray, "atoms 3"],
        numbers: Integer[np.ndarray, " atoms"],
    ) -> NeighborList:
        """See `EdgeRule.edges`."""
        edges = radius_neighbors(lattice, frac_coords, self.radius)
        if not self.isolated_atoms:
            alone = np.flatnonzero(np.bincount(edges.centers, minlength=len(numbers)) == 0)
            if len(alone):
                raise Unrepresentable(
                    f"expected a neighbour within {self.radius:g} Å of every atom, atom {alone[0]} has none"
                )
        return edges
