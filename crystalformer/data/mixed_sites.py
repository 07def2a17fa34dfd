"""Sites that several elements share, or that are empty in some cells: disordered crystals.

A mixed site is described by rows (site, Z, fraction), one for each of its elements: in a share `fraction` of
all cells the site holds an atom of that element. Fractions of a site that add up to less than 1 leave the
rest of the cells with a vacancy. Sites without rows hold one element in every cell. `numbers` of a mixed
site is its most frequent element, the lightest of equals.
"""

import numpy as np
from jaxtyping import Float, Float32, Integer

ELEMENTS = 118
ROUNDING = 1e-6  # by which fractions of a site may exceed 1 in all


def sorted_rows(rows: Float[np.ndarray, "..."], atoms: int) -> Float[np.ndarray, "rows 3"]:
    """Rows (site, Z, fraction) by site and then Z.

    Raises:
        ValueError: a row is impossible; the message says what was expected and what came.
    """
    if not rows.size:
        return rows.reshape(0, 3)
    _check(rows.ndim == 2 and rows.shape[1] == 3, "rows (site, Z, fraction)", f"shape {rows.shape}")
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    site, z, fraction = rows.T
    known = (site == site.astype(int)) & (site >= 0) & (site < atoms)
    _check(known.all(), f"sites from 0 to {atoms - 1}", site[~known][:3].tolist())
    known = (z == z.astype(int)) & (z >= 1) & (z <= ELEMENTS)
    _check(known.all(), f"atomic numbers 1 to {ELEMENTS}", z[~known][:3].tolist())
    partial = (fraction > 0) & (fraction < 1)
    _check(partial.all(), "fractions between 0 and 1, exclusive", fraction[~partial][:3].tolist())
    twice = (np.diff(rows[:, :2], axis=0) == 0).all(1)
    _check(not twice.any(), "each element of a site once", rows[1:][twice][:1].tolist())
    sums = np.bincount(site.astype(int), fraction, minlength=atoms)
    _check(sums.max() <= 1 + ROUNDING, "fractions of a site up to 1 in all", f"{sums.max():.6g}")
    return rows


def most_frequent(rows: Float[np.ndarray, "rows 3"]) -> dict[int, int]:
    """Z of the most frequent element of each mixed site, from sorted rows."""
    best: dict[int, tuple[float, int]] = {}
    for site, z, fraction in rows.tolist():
        best[int(site)] = min(best.get(int(site), (0.0, 0)), (-fraction, int(z)))
    return {site: z for site, (_, z) in best.items()}


def occupancy(
    numbers: Integer[np.ndarray, " sites"], rows: Float[np.ndarray, "rows 3"]
) -> Float32[np.ndarray, "sites 118"]:
    """The share of each element on each site; column Z - 1.

    Args:
        numbers: atomic numbers.
        rows: as above, of the mixed ones among these sites.
    """
    shares = np.zeros((len(numbers), ELEMENTS), dtype=np.float32)
    shares[np.arange(len(numbers)), numbers.astype(np.int64) - 1] = 1
    site, z = rows[:, :2].astype(np.int64).T
    shares[site] = 0
    shares[site, z - 1] = rows[:, 2]
    return shares


def _check(holds: bool, expected: str, got: object) -> None:
    if not holds:
        raise ValueError(f"expected {expected}, got {got}")
