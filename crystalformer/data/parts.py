"""A batch divided among processes or forward passes, so that each part has about as many atoms."""

import numpy as np
from jaxtyping import Int


def balanced_parts(
    sizes: Int[np.ndarray, " n"], parts: int, most: int | None = None
) -> list[Int[np.ndarray, " _"]]:
    """Positions 0 to n - 1, each in one of the parts.

    The largest crystal goes first, each to the part that has the fewest atoms so far and fewer than `most`
    crystals (longest processing time first: R. L. Graham, SIAM J. Appl. Math. 17, 416 (1969)). Within a part
    positions keep their order. With fewer crystals than parts some parts are empty.

    Args:
        sizes: atoms of each crystal.
        parts: how many.
        most: crystals of a part; None: any number.

    Raises:
        ValueError: `parts` parts of `most` crystals do not hold them all.
    """
    if parts < 1 or (most is not None and parts * most < len(sizes)):
        limit = "" if most is None else f" of at most {most}"
        raise ValueError(f"parts: expected enough{limit} for {len(sizes)} crystals, got {parts}")
    atoms, crystals = np.zeros(parts), np.zeros(parts, dtype=np.int64)
    part_of = np.empty(len(sizes), dtype=np.int64)
    for position in np.argsort(-sizes, kind="stable"):
        free = atoms if most is None else np.where(crystals < most, atoms, np.inf)
        part = int(free.argmin())
        part_of[position] = part
        atoms[part] += sizes[position]
        crystals[part] += 1
    return [np.flatnonzero(part_of == part) for part in range(parts)]
