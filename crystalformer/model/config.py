"""`CrystalformerConfig`: the hyper-parameters of the model, with the paper's symbols."""

import math
from dataclasses import dataclass
from typing import Literal

from crystalformer.model.truncation import FINEST, radius_for, truncation_bound

MAX_LAYERS = 16
MAX_BOX = 10  # a fixed box of +-10 cells has 9261 images
DOMAINS = ("real", "reci", "multihead")
DECAYS = ("learned", "fixed", "unnormalised")
NORMS = ("none", "pre", "post")
FRAMES = ("none", "max", "weighted-pca")
MAX_RADIUS = 50.0  # Å; some 30,000 images per atom
KERNELS = ("auto", "reference", "cpu", "gpu")


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
    minimum_box: int = 2  # smallest R_d of "adaptive"
    # where the sum over images is taken: "real", "reci" (reciprocal) or "multihead" (the first half of the
    # heads real, the others reciprocal); joined by "-", as in "real-reci", the blocks take them in turn
    domain: str = "real"
    rb0: float = 2.2  # Å; sigma_i in reciprocal space where its argument is average
    reciprocal_range: int = 2  # all waves w_m with |m_d| <= this
    # of sigma: "learned", "fixed" (sigma_i = r0 everywhere) or "unnormalised" (m = 0 and s = 1)
    decay: Literal["learned", "fixed", "unnormalised"] = "learned"
    norm: Literal["none", "pre", "post"] = "none"  # LayerNorm before or after attention and feed-forward
    # dynamic frames (CrystalFramer), in which psi sees directions: "none", "max" or "weighted-pca"
    frames: Literal["none", "max", "weighted-pca"] = "none"
    angle_basis: int = 64  # D, angular basis functions of an axis; this and the next three only with frames
    angle_width: float = 4.0  # s, their standard deviation in units of their spacing
    c_dist: float = 1.0  # factor of the part of psi that sees distances
    c_angle: float = 1.0  # factor of the part that sees angles
    elements: int = 98  # known elements, from hydrogen on
    output_width: int = 0  # hidden features of the output layers; 0: as many as an atom
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
        _check_int("minimum_box", self.minimum_box, 0, MAX_BOX)
        self._check_domain()
        _check(_is_finite(self.rb0) and self.rb0 > 0, "rb0", "a number above 0 (Å)", self.rb0)
        _check_int("reciprocal_range", self.reciprocal_range, 0, MAX_BOX)
        _check(self.decay in DECAYS, "decay", f"one of {', '.join(DECAYS)}", self.decay)
        _check(self.norm in NORMS, "norm", f"one of {', '.join(NORMS)}", self.norm)
        self._check_frames()
        _check_int("elements", self.elements, 1, 118)
        _check_int("output_width", self.output_width, 0)
        in_range = _is_finite(self.radius) and 0 < self.radius <= MAX_RADIUS
        _check(in_range, "radius", f"a number above 0, at most {MAX_RADIUS:g} (Å)", self.radius)
        in_range = _is_finite(self.tolerance) and FINEST <= self.tolerance < 1
        _check(in_range, "tolerance", f"a number of at least {FINEST:g}, below 1", self.tolerance)
        _check(self.kernel in KERNELS, "kernel", f"one of {', '.join(KERNELS)}", self.kernel)
        _check_int("targets", self.targets, 1)

    def _check_domain(self) -> None:
        expected = f"{', '.join(DOMAINS)}, or several of them joined by '-'"
        known = isinstance(self.domain, str) and set(self.domain.split("-")) <= set(DOMAINS)
        _check(known, "domain", expected, self.domain)
        even = "multihead" not in self.domains or self.heads % 2 == 0
        _check(even, "heads", "an even number, half of them real in a multihead block", self.heads)

    def _check_frames(self) -> None:
        _check(self.frames in FRAMES, "frames", f"one of {', '.join(FRAMES)}", self.frames)
        real = self.frames == "none" or set(self.domains) == {"real"}
        _check(real, "frames", f"none in the domain {self.domain!r}, which has waves", self.frames)
        _check_int("angle_basis", self.angle_basis, 2)
        wide = _is_finite(self.angle_width) and self.angle_width > 0
        _check(wide, "angle_width", "a number above 0", self.angle_width)
        _check(_is_finite(self.c_dist), "c_dist", "a finite number", self.c_dist)
        _check(_is_finite(self.c_angle), "c_angle", "a finite number", self.c_angle)

    @property
    def head_width(self) -> int:
        """d_K, features of one head."""
        return self.width // self.heads

    @property
    def domains(self) -> tuple[str, ...]:
        """The domain of each block."""
        names = self.domain.split("-")
        return tuple(names[block % len(names)] for block in range(self.num_layers))

    @property
    def sigma_max(self) -> float:
        """Upper bound of sigma_i in real space in Å: r0 / sqrt(b)."""
        return self.r0 if self.decay == "fixed" else self.r0 / math.sqrt(self.b)

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


@dataclass(frozen=True)
class CrystalFramerConfig(CrystalformerConfig):
    """The published CrystalFramer: a Crystalformer with max frames.

    Its lightweight variant has angle_basis=16, angle_width=1, c_dist=1.5 and c_angle=6.
    """

    frames: Literal["none", "max", "weighted-pca"] = "max"


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
