r"""Sums of a pair potential over all images of an atom: Coulomb, London and Pauli, to convergence.

For atoms i and j with v = p_i - p_j, the cell vectors L and volume V, and integer k (Y. Lin et al., Efficient
Approximations of Complete Interatomic Potentials for Crystal Property Prediction, ICML 2023):

    Z(p) = Σ'_k |Lk + v|^(-2p),   p = 1/2 (Coulomb) and p = 3 (London)
    E(a) = Σ_k exp(-a |Lk + v|)                                                    (Pauli)

Σ' leaves out a term at distance 0. Z is Epstein's zeta function: for p = 1/2 its analytic continuation, which
is the sum in a uniform background that makes the cell neutral. Both are split at η as by P. P. Ewald (1921):
with Γ(p, x) the incomplete gamma function, x = (η r)², and y = (g/2η)² of a reciprocal lattice vector g,

    Z(p) Γ(p) = Σ'_r Γ(p, x)/r^2p  +  π^(3/2)/V Σ'_g (g/2)^(2p-3) Γ(3/2 - p, y) cos(g.v)
              + π^(3/2)/V η^(2p-3)/(p - 3/2)  -  [v = 0] η^2p/p

    p = 1/2:  Γ(1/2, x) = √π erfc(√x),          Γ(1, y) = e^-y
    p = 3:    Γ(3, x) = e^-x (2 + 2x + x²),
              Γ(-3/2, y) y^(3/2) = 2/3 (e^-y (1 - 2y) + 2√π y^(3/2) erfc(√y))

E is added up as it stands. Any cell will do: it is first reduced to short vectors.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import erfc

TAU = 5.5  # terms of Z below exp(-τ²) = 7e-14 are left out
SPLIT = 3.0  # η V^(1/3): the larger, the more is added up over g, of which a sum over atoms makes one product
TAIL = 1e-10  # bound on what is left out of E
SAME_PLACE = 1e-6  # Å; nearer atoms count as one
CHUNK = 2**17  # distances at a time, which fit into a processor's cache


class LatticeSums(NamedTuple):
    """Z(1/2) in 1/Å, Z(3) in 1/Å⁶ and E(a), symmetric."""

    coulomb: Float[np.ndarray, "atoms atoms"]
    london: Float[np.ndarray, "atoms atoms"]
    pauli: Float[np.ndarray, "atoms atoms"]


def lattice_sums(
    lattice: Float[np.ndarray, "3 3"], frac_coords: Float[np.ndarray, "atoms 3"], decay: float
) -> LatticeSums:
    """The sums for all pairs of atoms of a crystal, i = j included.

    Absolute errors are below 1e-9 (in units of V^(-1/3) and V^-2 for the two Z).

    Args:
        lattice: cell vectors as rows, in Å, right- or left-handed.
        frac_coords: wrapped or not.
        decay: a in 1/Å.

    Raises:
        ValueError: values that are not finite, a cell without volume, or a decay that is not positive.
    """
    if not (np.isfinite(lattice).all() and np.isfinite(frac_coords).all()):
        raise ValueError("lattice and frac_coords: expected finite values, got NaN or infinity")
    volume = abs(np.linalg.det(lattice))
    if not volume > 0:
        raise ValueError(f"lattice: expected a cell with a volume, got {np.asarray(lattice).tolist()}")
    if not 0 < decay < np.inf:
        raise ValueError(f"decay: expected above 0 1/Å, got {decay!r}")
    cell = reduced_cell(np.asarray(lattice, dtype=np.float64))
    f = np.asarray(frac_coords, dtype=np.float64) @ lattice @ np.linalg.inv(cell)
    eta = SPLIT / volume ** (1 / 3)
    i, j = np.triu_indices(len(f), k=1)
    v = f[i] - f[j]
    v = np.concatenate([np.zeros((1, 3)), v - np.round(v)]) @ cell  # i = j is the same for all atoms
    real = _real_sums(cell, v, eta, decay)
    reciprocal = _reciprocal_sums(cell, f, eta)
    sums = [_matrix(values, len(f)) for values in real]
    for total, part in zip(sums, reciprocal, strict=False):
        total += part
    return LatticeSums(*sums)


def reduced_cell(lattice: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """Cell vectors of the same lattice of which none gets shorter by a multiple of another."""
    cell = lattice.copy()
    shorter = True
    while shorter:
        shorter = False
        for a, b in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
            vector = cell[a] - np.round(cell[a] @ cell[b] / (cell[b] @ cell[b])) * cell[b]
            if vector @ vector < (1 - 1e-9) * (cell[a] @ cell[a]):
                cell[a], shorter = vector, True
    return cell


def _real_sums(cell: np.ndarray, v: np.ndarray, eta: float, decay: float) -> tuple[np.ndarray, ...]:
    """The parts over r of both Z, and E, each (pairs,); with the corrections of pairs at the same place."""
    reach = np.sqrt((v**2).sum(axis=1).max())
    far = _pauli_radius(decay, abs(np.linalg.det(cell)))
    images = _points(cell, reach + max(far, TAU / eta))
    squares = (images**2).sum(axis=1)
    near = int(np.searchsorted(squares, (reach + TAU / eta) ** 2))
    coulomb, london, pauli = np.empty((3, len(v)))
    rows = max(1, CHUNK // len(images))
    for start in range(0, len(v), rows):
        part = slice(start, start + rows)
        r2 = squares + 2 * v[part] @ images.T
        r2 += (v[part] ** 2).sum(axis=1)[:, None]
        r = np.sqrt(np.maximum(r2, 0, out=r2), out=r2)
        same = r[:, 0] < SAME_PLACE  # the shortest image vector is 0, and no wrapped v but 0 ends at another
        z, l6 = _real_terms(r[:, :near], eta)
        z[same, 0], l6[same, 0] = -2 * eta / np.sqrt(np.pi), -(eta**6) / 6
        coulomb[part], london[part] = z.sum(axis=1), l6.sum(axis=1)
        np.multiply(r, -decay, out=r)
        pauli[part] = np.exp(r, out=r).sum(axis=1)
    return coulomb, london, pauli


def _real_terms(r: np.ndarray, eta: float) -> tuple[np.ndarray, np.ndarray]:
    """Γ(p, x)/(Γ(p) r^2p) for p = 1/2 and 3; whatever for r = 0."""
    r = np.maximum(r, SAME_PLACE)
    x = (eta * r) ** 2
    london = np.exp(-x)
    london *= 1 + x + x**2 / 2
    london *= (eta**2 / x) ** 3
    return erfc(eta * r) / r, london


def _reciprocal_sums(cell: np.ndarray, f: np.ndarray, eta: float) -> tuple[np.ndarray, np.ndarray]:
    """The parts over g of Z(1/2) and Z(3), g = 0 included, each (atoms, atoms)."""
    volume = abs(np.linalg.det(cell))
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    g = _points(reciprocal, 2 * eta * TAU)[1:]
    # g and -g give the same: one of the two, twice.
    g = g[(g[:, 0] > 0) | ((g[:, 0] == 0) & ((g[:, 1] > 0) | ((g[:, 1] == 0) & (g[:, 2] > 0))))]
    squares = (g**2).sum(axis=1)
    y = squares / (2 * eta) ** 2
    phases = f @ cell @ g.T
    cosines, sines = np.cos(phases), np.sin(phases)
    scale = np.pi**1.5 / volume
    coulomb = 2 * 4 * np.pi / volume * np.exp(-y) / squares
    bracket = np.exp(-y) * (1 - 2 * y) + 2 * np.sqrt(np.pi) * y**1.5 * erfc(np.sqrt(y))
    london = 2 * scale * eta**3 / 3 * bracket
    sums = []
    for weights, constant in ((coulomb, -np.pi / (volume * eta**2)), (london, scale * eta**3 / 3)):
        product = (cosines * weights) @ cosines.T + (sines * weights) @ sines.T + constant
        product = (product + product.T) / 2  # to the last bit, which a matrix product does not give
        np.fill_diagonal(product, weights.sum() + constant)
        sums.append(product)
    return sums[0], sums[1]


def _points(cell: np.ndarray, radius: float) -> np.ndarray:
    """All lattice points within a radius of the origin, nearest first, (points, 3)."""
    reach = np.floor(radius * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int)
    n = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in reach), indexing="ij"), axis=-1)
    points = n.reshape(-1, 3) @ cell
    squares = (points**2).sum(axis=1)
    order = np.argsort(squares, kind="stable")
    return points[order[: np.searchsorted(squares[order], radius**2, side="right")]]


def _pauli_radius(decay: float, volume: float) -> float:
    """R beyond which E has less than `TAIL`: (4π/V) ∫_R^∞ r² e^(-ar) dr."""
    radius = 1 / decay
    while True:
        tail = (radius**2 / decay + 2 * radius / decay**2 + 2 / decay**3) * np.exp(-decay * radius)
        if 4 * np.pi / volume * tail < TAIL:
            return radius
        radius += 1 / decay


def _matrix(values: np.ndarray, atoms: int) -> np.ndarray:
    """(1 + pairs,) of i = j and of i < j -> (atoms, atoms)."""
    matrix = np.empty((atoms, atoms))
    i, j = np.triu_indices(atoms, k=1)
    matrix[i, j] = matrix[j, i] = values[1:]
    np.fill_diagonal(matrix, values[0])
    return matrix
