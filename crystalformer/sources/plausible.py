"""What no crystal of a data set can be: atoms on top of each other, cells in another unit, absurd sizes.

The limits are far from what there is: of 80,000 crystals of the Materials Project and JARVIS the closest
atoms are 0.74 Å apart (hydrogen molecules), the longest cell vector has 211 Å, the largest cell 624 atoms.
"""

import numpy as np

from crystalformer.data.crystal import Crystal

MIN_DISTANCE = 0.5  # Å
MAX_LENGTH = 500.0  # Å
MAX_ATOMS = 5000
_AT_ONCE = 1 << 18  # pairs


def check_plausible(crystal: Crystal) -> None:
    """Accept what can be a crystal.

    Atoms that are never there together, because the occupancies of their sites sum to at most 1, may be
    close.

    Raises:
        ValueError: says what was expected and what came.
    """
    if len(crystal) > MAX_ATOMS:
        raise ValueError(f"crystal {crystal.id!r}: expected at most {MAX_ATOMS} atoms, got {len(crystal)}")
    longest = float(np.linalg.norm(crystal.lattice, axis=1).max())
    if longest > MAX_LENGTH:
        raise ValueError(
            f"crystal {crystal.id!r}: expected cell vectors of up to {MAX_LENGTH:g} Å, got {longest:.6g} Å; "
            "lengths are read as Å"
        )
    close = closest_pair(crystal)
    if close is not None:
        i, j, distance = close
        raise ValueError(
            f"crystal {crystal.id!r}: expected atoms at least {MIN_DISTANCE:g} Å apart, "
            f"got {distance:.3g} Å between atoms {i + 1} and {j + 1}"
        )


def closest_pair(crystal: Crystal) -> tuple[int, int, float] | None:
    """Indices and distance in Å of the first atom that has another (or its own image) within `MIN_DISTANCE`,
    and of its closest one; None without any.

    All images within that distance are looked at: along cell vector i they lie at most `MIN_DISTANCE` over
    the distance of the cell's faces away, counted in cells.
    """
    reciprocal = np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    reach = np.ceil(MIN_DISTANCE * reciprocal - 0.5).clip(0, 20).astype(int)  # beyond the nearest image
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 3)
    frac, atoms = crystal.frac_coords, len(crystal)
    share = np.ones(atoms)
    mixed = np.asarray(crystal.mixed)
    if len(mixed):
        sites = mixed[:, 0].astype(int)
        share[sites] = np.bincount(sites, mixed[:, 2], minlength=atoms)[sites]
    rows = max(1, _AT_ONCE // (atoms * len(shifts)))
    for start in range(0, atoms, rows):
        delta = frac[start : start + rows, None] - frac[None]
        delta -= np.round(delta)
        distance = np.linalg.norm((delta[:, :, None] + shifts) @ crystal.lattice, axis=-1)
        own = (np.arange(len(delta)), np.arange(start, start + len(delta)))
        distance[own] = np.where((shifts == 0).all(1), np.inf, distance[own])
        nearest = distance.min(-1)
        together = share[start : start + rows, None] + share > 1 + 1e-6
        close = (nearest < MIN_DISTANCE) & together
        if close.any():
            i = int(np.flatnonzero(close.any(1))[0])
            j = int(np.where(close[i], nearest[i], np.inf).argmin())
            return start + i, j, float(nearest[i, j])
    return None
