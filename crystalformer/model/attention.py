"""Infinitely connected attention.

The paper (Sec. 3, appendix "Derivation") writes the attention of atom i over all images n of all atoms j as

    y_i = 1/Z_i sum_j sum_n exp(q_i.k_j / sqrt(d_K) + phi_ij(n)) (v_j + psi_ij(n))
    phi_ij(n) = -r^2 / (2 sigma_i^2),   psi_ij(n) = W b(r),   r = |p_j(n) - p_i|,

and sums over n first, which gives it alpha_ij and beta_ij. Here every image m = (j, n) is a key of one
softmax,

    p_im = softmax_m(q_i.k_j / sqrt(d_K) + a_i r_m^2),   a_i = -1 / (2 sigma_i^2)
    O_i = sum_m p_im v_j,   B_i = sum_m p_im b(r_m),   y_i = O_i + W B_i,

which is the same number: W does not depend on the image, so it is applied once per atom instead of once per
pair of atoms, and alpha and beta never have to exist. O and B come from one of the `kernels`.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.geometry import Geometry
from crystalformer.model.kernels.dispatch import choose_kernel
from crystalformer.model.sigma import build_decay


class Attention(nn.Module, ABC):
    """Multi-head attention of the atoms of a crystal to all periodic images of its atoms.

    | parameter | shape | paper |
    |---|---|---|
    | `query`, `key`, `value` | (width, width) + (width,) | q, k, v |
    | `decay.weight` | (heads, head width) | w of sigma; none where sigma is fixed |
    | `value_encoding` | (heads, head width, K) | W^E of psi, no bias; None without psi |
    | `output` | (width, width) + (width,) | output projection |

    A subclass says how the images are summed.
    """

    value_encoding: nn.Parameter | None

    def __init__(self, config: CrystalformerConfig, value_basis: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.attend = choose_kernel(config.kernel)
        self.query = nn.Linear(config.width, config.width)
        self.key = nn.Linear(config.width, config.width)
        self.value = nn.Linear(config.width, config.width)
        self.decay = build_decay(config)
        if value_basis:
            self.value_encoding = nn.Parameter(torch.empty(config.heads, config.head_width, value_basis))
        else:
            self.register_parameter("value_encoding", None)
        self.output = nn.Linear(config.width, config.width)

    def calibrate(self, x: Float[Tensor, "atoms width"]) -> None:
        """Sets m and s of sigma from atom features (atoms, width)."""
        self.decay.calibrate(self._heads(self.query(x)))

    def forward(self, x: Float[Tensor, "atoms width"], geometry: Geometry) -> Float[Tensor, "atoms width"]:
        """Atom features (atoms, width) to features of the same shape."""
        return self.output(self.mix(x, geometry).flatten(1))

    def mix(self, x: Float[Tensor, "atoms width"], geometry: Geometry) -> Float[Tensor, "atoms heads d_K"]:
        """y_i, before the output projection; (atoms, heads, head width)."""
        q, k, v = (self._heads(project(x)) for project in (self.query, self.key, self.value))
        return self.mix_heads(q, k, v, geometry)

    @abstractmethod
    def mix_heads(
        self,
        q: Float[Tensor, "atoms heads d_K"],
        k: Float[Tensor, "atoms heads d_K"],
        v: Float[Tensor, "atoms heads d_K"],
        geometry: Geometry,
    ) -> Float[Tensor, "atoms heads d_K"]:
        """y_i from queries, keys and values; all (atoms, heads, head width)."""

    def _heads(self, features: Tensor) -> Tensor:
        return features.unflatten(-1, (self.heads, -1))


class InfinitelyConnectedAttention(Attention):
    """The sum over images in real space, by the formula above."""

    def __init__(self, config: CrystalformerConfig) -> None:
        super().__init__(config, config.value_basis)

    def mix_heads(
        self,
        q: Float[Tensor, "atoms heads d_K"],
        k: Float[Tensor, "atoms heads d_K"],
        v: Float[Tensor, "atoms heads d_K"],
        geometry: Geometry,
    ) -> Float[Tensor, "atoms heads d_K"]:
        """See `Attention.mix_heads`."""
        averaged_v, averaged_b = self.attend(q, k, v, self.decay(q), geometry.images)
        return add_encoding(averaged_v, averaged_b, self.value_encoding)


def add_encoding(
    averaged_v: Float[Tensor, "atoms heads d_K"],
    averaged_b: Float[Tensor, "atoms heads K"] | None,
    value_encoding: Float[Tensor, "heads d_K K"] | None,
) -> Float[Tensor, "atoms heads d_K"]:
    """O_i + W B_i of O (atoms, heads, head width), B (atoms, heads, K) and W (heads, head width, K)."""
    if averaged_b is None or value_encoding is None:
        return averaged_v
    return averaged_v + torch.einsum("ahk,hdk->ahd", averaged_b, value_encoding)
