"""`EdgeRule`: what a graph is, for one crystal."""

from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Integer

from crystalformer.data.neighbors import NeighborList


class Unrepresentable(ValueError):
    """A crystal of which a rule makes no graph, though nothing is wrong with it; the message says why."""


@runtime_checkable
class EdgeRule(Protocol):
    """A frozen dataclass whose fields, with name and version, decide the edges of every crystal.

    Attributes:
        name: part of the name of the cache folder.
        version: to be raised when the same settings give other edges.
    """

    name: ClassVar[str]
    version: ClassVar[int]

    def edges(
        self,
        lattice: Float[np.ndarray, "3 3"],
        frac_coords: Float[np.ndarray, "atoms 3"],
        numbers: Integer[np.ndarray, " atoms"],
    ) -> NeighborList:
        """The edges of one crystal, sorted by `centers`.

        `lattice` has the cell vectors as rows, in Å; `frac_coords` need not be wrapped into the cell.

        Raises:
            Unrepresentable: the rule has no graph for this crystal.
            ValueError: the crystal itself is wrong (not finite, no volume).
        """
        ...
