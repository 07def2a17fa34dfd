"""`TrainingRange`: what the crystals were like that a model was trained on, and how a new one differs.

A model answers for any crystal it can represent. Beyond what it has seen the answer is a guess, and nothing
in the answer itself shows it: the seeds of an ensemble may agree on the wrong number.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from crystalformer.data.crystal import Crystal
from crystalformer.data.elements import SYMBOLS
from crystalformer.data.radius_images import radius_images

MANY_ATOMS = 2  # times the largest cell seen: far larger
SLACK = 1.1  # factor by which a length or volume may leave the range before that is worth a warning


@dataclass(frozen=True)
class TrainingRange:
    """The ends of what was seen in training.

    Attributes:
        crystals: how many there were.
        elements: atomic numbers, ascending.
        atoms: largest number of atoms in a cell.
        volume_per_atom: smallest and largest, in Å^3.
        closest: smallest and largest distance of the two closest atoms of a crystal, in Å.
    """

    crystals: int
    elements: tuple[int, ...]
    atoms: int
    volume_per_atom: tuple[float, float]
    closest: tuple[float, float]

    @classmethod
    def of(cls, crystals: Iterable[Crystal]) -> Self:
        """The range of at least one crystal.

        Raises:
            ValueError: a cell is so flat that its closest atoms cannot be searched.
        """
        elements: set[int] = set()
        sizes, volumes, distances = [], [], []
        for crystal in crystals:
            elements |= _elements(crystal)
            sizes.append(len(crystal))
            volumes.append(_volume_per_atom(crystal))
            distances += closest_atoms([crystal]).tolist()
        if np.isnan(distances).any():
            raise ValueError(
                f"training crystal {np.isnan(distances).argmax() + 1}: expected a cell less flat"
            )
        return cls(
            crystals=len(sizes),
            elements=tuple(sorted(elements)),
            atoms=max(sizes),
            volume_per_atom=(min(volumes), max(volumes)),
            closest=(min(distances), max(distances)),
        )

    def warnings(self, crystals: Sequence[Crystal]) -> list[list[str]]:
        """In what each crystal lies outside of the range, one text each; none for one like those seen."""
        return [self._warnings(*pair) for pair in zip(crystals, closest_atoms(crystals), strict=True)]

    def _warnings(self, crystal: Crystal, closest: float) -> list[str]:
        found = []
        unseen = sorted(_elements(crystal) - set(self.elements))
        if unseen:
            names = ", ".join(SYMBOLS[z - 1] for z in unseen)
            found.append(f"{names} not in any of the {self.crystals:,} training crystals")
        if len(crystal) > MANY_ATOMS * self.atoms:
            found.append(f"{len(crystal)} atoms in the cell, at most {self.atoms} in training")
        found += _outside("a volume per atom of {} Å^3", _volume_per_atom(crystal), self.volume_per_atom)
        if math.isnan(closest):
            return [*found, "a cell so flat that its closest atoms were not searched"]
        return found + _outside("the closest atoms {} Å apart", closest, self.closest)

    def to_dict(self) -> dict[str, Any]:
        """As plain lists, for JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            TypeError: the keys are not those of `to_dict`.
        """
        lists = {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
        return cls(**{**fields, **lists})


def closest_atoms(crystals: Sequence[Crystal]) -> Float[np.ndarray, " crystals"]:
    """Distance in Å of the two closest atoms of each crystal, periodic images of one atom included.

    No arrangement of spheres is denser than close packing (T. C. Hales, Ann. Math. 162 (2005) 1065), so the
    distance is at most (√2 V/N)^(1/3), and the search ends there. It goes through all crystals at once, each
    in units of its own bound.

    Returns:
        NaN for a cell so flat that it has too many images.
    """
    bounds = np.array([(2**0.5 * _volume_per_atom(crystal)) ** (1 / 3) for crystal in crystals])
    lattices = np.stack([crystal.lattice for crystal in crystals]) / bounds[:, None, None]
    positions = [crystal.frac_coords @ lattice for crystal, lattice in zip(crystals, lattices, strict=True)]
    sizes = np.array([len(crystal) for crystal in crystals])
    try:
        found = radius_images(np.concatenate(positions), lattices, sizes, 1 + 1e-6)
    except ValueError:  # one of them is flat
        if len(crystals) == 1:
            return np.array([np.nan])
        return np.concatenate([closest_atoms([crystal]) for crystal in crystals])
    first_atoms = np.cumsum(sizes) - sizes
    ends = np.cumsum(np.add.reduceat(found.counts, first_atoms))
    parts = np.split(found.distances, ends[:-1])
    # each atom is its own image at distance 0
    return bounds * [np.partition(part, size)[size] for part, size in zip(parts, sizes, strict=True)]


def _elements(crystal: Crystal) -> set[int]:
    return {*crystal.numbers.tolist(), *crystal.mixed[:, 1].astype(int).tolist()}  # type: ignore[call-overload]


def _volume_per_atom(crystal: Crystal) -> float:
    return abs(float(np.linalg.det(crystal.lattice))) / len(crystal)


def _outside(what: str, value: float, seen: tuple[float, float]) -> list[str]:
    low, high = seen
    if low / SLACK <= value <= high * SLACK:
        return []
    return [f"{what.format(f'{value:.3g}')}, {low:.3g} to {high:.3g} in training"]
