"""`CrystalformerConfig`: the hyper-parameters of the model, with the paper's symbols."""

import math
from dataclasses import dataclass

from crystalformer.model.truncation import FINEST, radius_for, truncation_bound

MAX_LAYERS = 16
MAX_BOX = 10  # a fixed box of +-10 cells has 9261 images
MAX_RADIUS = 50.0  # Å; some 30,000 images per atom
KERNELS = ("auto", "reference", "cpu")


@dataclass(frozen=True)
class CrystalformerConfig:
    """Settings of a `Crystalformer`; the defaults are the published model.

    Raises:
        ValueError: a value has the wrong type or is outside its range; the message names field, range
            and value.
    """

    num_layers: int = 4  # L, self-attention blocks
    width: int = 128  # d, features of an atom
    heads: int = 8  # H; a head has d_K = d / H features
    ff_width: int = 512  # hidden features of the feed-forward part of a block
    r0: float = 1.4  # Å; sigma_i where its argument is average
    a: float = 0.1  # slope of rho: how strongly sigma_i varies; 0: sigma_i = r0 for every atom
    b: float = 0.5  # lower bound of rho, so that sigma_i < r0 / sqrt(b)
    value_basis: int = 64  # K, radial basis functions of psi; 0: the simplified model, without psi
    r_max: float = 14.0  # Å; centre of the last radial basis function
    # which images are summed: R: |n_d| <= R; "adaptive": a box per atom and head that follows sigma_i;
    # "radius": all within `radius`; "tolerance": all within the radius that leaves out at most `tolerance`
    lattice_range: int | str = "adaptive"
    radius: float = 7.0  # Å; the default is 3.5 sigma_max of the default r0 and b
    tolerance: float = 1e-5  # part of the attention of an atom and head; see `truncation`
    kernel: str = "auto"  # implementation of the attention sum: one of KERNELS
    targets: int = 1  # numbers predicted per crystal

    def __post_init__(self) -> None:
        _check_int("num_layers", self.num_layers, 1, MAX_LAYERS)
        _check_int("width", self.width, 1)
        _check_int("heads", self.heads, 1)
        _check(self.width % self.heads == 0, "heads", f"a divisor of the width {self.width}", self.heads)
        _check_int("ff_width", self.ff_width, 1)
        _check(_is_finite(self.r0) and self.r0 > 0, "r0", "a number above 0 (Å)", self.r0)
        _check(_is_finite(self.a) and self.a >= 0, "a", "a number of at least 0", self.a)
        _check(_is_finite(self.b) and 0 < self.b < 1, "b", "a number between 0 and 1, exclusive", self.b)
        _check_int("value_basis", self.value_basis, 0)
        _check(_is_finite(self.r_max) and self.r_max > 0, "r_max", "a number above 0 (Å)", self.r_max)
        _check(
            self.lattice_range in ("adaptive", "radius", "tolerance")
            or (_is_int(self.lattice_range) and 0 <= int(self.lattice_range) <= MAX_BOX),
            "lattice_range",
            f"an integer from 0 to {MAX_BOX}, 'adaptive', 'radius' or 'tolerance'",
            self.lattice_range,
        )
        in_range = _is_finite(self.radius) and 0 < self.radius <= MAX_RADIUS
        _check(in_range, "radius", f"a number above 0, at most {MAX_RADIUS:g} (Å)", self.radius)
        in_range = _is_finite(self.tolerance) and FINEST <= self.tolerance < 1
        _check(in_range, "tolerance", f"a number of at least {FINEST:g}, below 1", self.tolerance)
        _check(self.kernel in KERNELS, "kernel", f"one of {', '.join(KERNELS)}", self.kernel)
        _check_int("targets", self.targets, 1)

    @property
    def head_width(self) -> int:
        """d_K, features of one head."""
        return self.width // self.heads

    @property
    def sigma_max(self) -> float:
        """Upper bound of sigma_i in Å: r0 / sqrt(b)."""
        return self.r0 / math.sqrt(self.b)

    @property
    def images_radius(self) -> float | None:
        """The radius in Å within which all images are summed; None where `lattice_range` gives a box."""
        if self.lattice_range == "tolerance":
            return radius_for(self.tolerance, self.sigma_max)
        return float(self.radius) if self.lattice_range == "radius" else None

    @property
    def truncation_bound(self) -> float | None:
        """Bound on what `images_radius` leaves out, see `truncation`; None where there is no radius."""
        radius = self.images_radius
        return None if radius is None else truncation_bound(radius, self.sigma_max)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_int(name: str, value: object, low: int, high: int | None = None) -> None:
    expected = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
    in_range = isinstance(value, int) and low <= value and (high is None or value <= high)
    _check(_is_int(value) and in_range, name, expected, value)


def _check(holds: bool, name: str, expected: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
