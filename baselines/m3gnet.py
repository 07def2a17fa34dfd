r"""M3GNet, graph networks with three-body interactions, for properties of the crystal as a whole.

C. Chen and S. P. Ong, Nat. Comput. Sci. 2, 718 (2022), and https://github.com/materialsvirtuallab/m3gnet.

Atom i starts from a row v_i of a table of elements, edge (i, j) to each neighbour within r_c = 5 Å from three
smooth Bessel functions e⁰ of its length: e_ij = ς(W e⁰_ij), with ς(x) = x σ(x). In each of the blocks, bonds
first take part in the angles at their centre, where j and k are bonded to i at no more than r_3 = 4 Å:

    ẽ_ij = Σ_{k≠j} f_ln(r_ik) Y_l0(θ_jik) ⊙ σ(W_v v_k + b_v) f_c(r_ij) f_c(r_ik)         (n, l < 3: Eq. 2)
    e_ij ← e_ij + ς(W_1 ẽ_ij) ⊙ σ(W_2 ẽ_ij)                                              (Eq. 3)
    f_c(r) = 1 - 6 t⁵ + 15 t⁴ - 10 t³,  t = r / r_3

and then, with gated layers φ(x) = ς(V_2 ς(V_1 x + a_1) + a_2) ⊙ σ(U_2 ς(U_1 x + b_1) + b_2),

    e_ij ← e_ij + φ_e([v_i ‖ v_j ‖ e_ij]) ⊙ W_0 e⁰_ij                                    (Eq. 4)
    v_i ← v_i + Σ_j φ_v([v_i ‖ v_j ‖ e_ij]) ⊙ ς(W_0' e⁰_ij)                              (Eq. 5)

The crystal is read as a weighted mean of its atoms, w_i = σ(·) and ξ_i both from two layers of v_i:

    y = three layers of Σ_i w_i ξ_i / Σ_i w_i

f_ln is a normalised spherical Bessel function (`baselines.features.bessel`), whose radius is r_c, not r_3.

Parameters: 231,709, those of the published code for an intensive property (`is_intensive`, `weighted_atom`);
all of them are used. MatGL's M3GNet is another model, with three layers in φ and 283,997 parameters. Its
training step takes twice as long (0.84 against 0.41 CPU-seconds for 64 crystals of the Materials Project with
728 atoms and 23,658 edges, one core of an AMD EPYC); its parts serve as a check.

Where published code and paper differ, the published code is followed:
- ς of W_0' e⁰ in the sum over neighbours; paper and MatGL have W_0' e⁰ alone: `activates_atom_weights`.

What differs from the published code:
- The sum over k is a product. With Y_l0(θ_jik) = sqrt((2l + 1) / 4π) Σ_m C_lm(r_ij) C_lm(r_ik), it is a sum
  over the bonds of atom i, taken once for all of its j, less the term k = j. No triplets are listed, and
  memory and time grow with the number of bonds: the same function with less work and, in single precision,
  the same rounding errors.
- V_1 [v_i ‖ v_j ‖ e_ij] is computed as a sum of three products, two of which are done per atom.
- Crystals without triplets, on which the published code fails, and atoms without neighbours are represented:
  their sums are 0.
- The published code adds a mean and references of elements to its prediction, if asked to; this one does not.

The table ends at Z = 94. The published recipe is that of its `Trainer`, which stops when nothing has
improved for 200 epochs, with the Adam of its examples.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baselines.features.bessel import SphericalBesselBasis, smooth_bessel
from baselines.features.edge_linear import EdgeLinear, rows_of
from baselines.features.glorot import keras_defaults
from baselines.features.spherical_harmonics import legendre_harmonics, repeated_by_degree, sums_by_degree
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.batch_checks import check_elements
from baselines.graphs.config_checks import check_lengths, check_whole_numbers, check_within_radius
from baselines.graphs.radius import WithinRadius
from crystalformer.data.array_store import ArrayStore
from crystalformer.entry import ModelEntry
from crystalformer.layers.segments import segment_sum
from crystalformer.training.config import TrainConfig

LAST_ELEMENT = 94


@dataclass(frozen=True)
class M3GNetConfig:
    """Settings of M3GNet; the defaults are those of the published code, whose names stand behind.

    Raises:
        ValueError: a value is outside its range; the message names field, range and value.
    """

    width: int = 64  # units
    blocks: int = 3  # n_blocks
    radial: int = 3  # max_n: Bessel functions of each degree
    degrees: int = 3  # max_l: of the harmonics, from 0
    radius: float = 5.0  # cutoff, r_c in Å
    triplet_radius: float = 4.0  # threebody_cutoff, r_3 in Å
    activates_atom_weights: bool = True  # ς of W_0' e⁰
    targets: int = 1

    def __post_init__(self) -> None:
        check_whole_numbers(self, width=1, blocks=1, radial=1, degrees=1, targets=1)
        check_lengths(self, "radius")
        check_within_radius(self, "triplet_radius")


class M3GNet(nn.Module):
    """Takes a `GraphBatch` with all edges within `config.radius`, returns (crystals, targets)."""

    def __init__(self, config: M3GNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embedding = nn.Embedding(LAST_ELEMENT + 1, width)
        self.edge_embedding = nn.Linear(config.radial, width, bias=False)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.weight = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1), nn.Sigmoid())
        self.read = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.output = nn.Sequential(
            *(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()),
            nn.Linear(width, config.targets),
        )
        keras_defaults(self)
        for part in self.modules():
            if isinstance(part, GatedLayers):
                part.reset_first()

    def forward(self, batch: GraphBatch) -> Float[Tensor, "crystals targets"]:
        """Predictions in scaled units.

        Raises:
            ValueError: an element beyond Z = 94.
        """
        check_elements("M3GNet", batch, LAST_ELEMENT)
        e_0 = smooth_bessel(batch.edge_distances, self.config.radial, self.config.radius)
        angles = Angles(batch, self.config)
        v, e = self.embedding(batch.numbers), F.silu(self.edge_embedding(e_0))
        for block in self.blocks:
            v, e = block(v, e, e_0, angles, batch)
        weight = self.weight(v)
        read = segment_sum(weight * self.read(v), batch.sizes) / segment_sum(weight, batch.sizes)
        return self.output(read)


class Angles:
    """The angles between the bonds of each atom: what depends on the batch alone.

    Attributes:
        bonds: edges (bonds,) of at most r_3; the others take no part.
        neighbors: atom at the end of each, (bonds,).
        counts: bonds of each atom, (atoms,).
        centers: atom at the start of each, (bonds,).
    """

    def __init__(self, batch: GraphBatch, config: M3GNetConfig) -> None:
        self.degrees = config.degrees
        self.bonds = (batch.edge_distances <= config.triplet_radius).nonzero().squeeze(1)
        self.centers, self.neighbors = batch.edge_centers[self.bonds], batch.edge_neighbors[self.bonds]
        self.counts = torch.bincount(self.centers, minlength=len(batch.numbers))
        r = batch.edge_distances[self.bonds]
        basis = SphericalBesselBasis(config.degrees, config.radial, config.radius)
        degree = torch.arange(config.degrees, dtype=r.dtype, device=r.device)
        self._cutoff = smooth_cutoff(r / config.triplet_radius)[:, None, None]
        # f_ln(r_ik) f_c(r_ik) and the factor of Y_l0, (bonds, degrees, radial)
        self._radial = basis(r) * self._cutoff * torch.sqrt((2 * degree + 1) / (4 * math.pi))[:, None]
        directions = F.normalize(batch.edge_vectors()[self.bonds], dim=1)
        self._harmonics = legendre_harmonics(directions, config.degrees)[:, :, None]

    def sums(self, gates: Float[Tensor, "atoms degrees_radial"]) -> Float[Tensor, "bonds degrees_radial"]:
        """ẽ of each bond, from σ(W_v v + b_v) of all atoms."""
        terms = self._radial * rows_of(gates, self.neighbors).view_as(self._radial)
        moments = segment_sum(repeated_by_degree(terms, self.degrees) * self._harmonics, self.counts)
        around = rows_of(moments.flatten(1), self.centers).view(len(terms), *moments.shape[1:])
        others = sums_by_degree(around * self._harmonics, self.degrees) - terms  # C_lm(r_ij) with itself is 1
        return (others * self._cutoff).flatten(1)


def smooth_cutoff(t: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """f_c of t = r / r_3, at most 1: falls from 1 to 0, where its first two derivatives are 0."""
    return 1 - t**3 * (10 - 15 * t + 6 * t**2)


class Block(nn.Module):
    """Three-body interaction, then updates of edges and atoms."""

    def __init__(self, config: M3GNetConfig) -> None:
        super().__init__()
        width, basis = config.width, config.degrees * config.radial
        self.activates_atom_weights = config.activates_atom_weights
        self.triplet_gate = nn.Linear(width, basis)  # W_v, b_v
        self.triplet_value = nn.Linear(basis, width, bias=False)  # W_1
        self.triplet_share = nn.Linear(basis, width, bias=False)  # W_2
        self.edge_gated = GatedLayers(width)  # φ_e
        self.edge_weight = nn.Linear(config.radial, width, bias=False)  # W_0
        self.atom_gated = GatedLayers(width)  # φ_v
        self.atom_weight = nn.Linear(config.radial, width, bias=False)  # W_0'

    def forward(
        self,
        v: Float[Tensor, "atoms width"],
        e: Float[Tensor, "edges width"],
        e_0: Float[Tensor, "edges radial"],
        angles: Angles,
        batch: GraphBatch,
    ) -> tuple[Float[Tensor, "atoms width"], Float[Tensor, "edges width"]]:
        """The new v and e."""
        triplets = angles.sums(torch.sigmoid(self.triplet_gate(v)))
        gain = F.silu(self.triplet_value(triplets)) * torch.sigmoid(self.triplet_share(triplets))
        e = e.index_add(0, angles.bonds, gain)
        e = e + self.edge_gated(v, e, batch) * self.edge_weight(e_0)
        weight = self.atom_weight(e_0)
        if self.activates_atom_weights:
            weight = F.silu(weight)
        return v + segment_sum(self.atom_gated(v, e, batch) * weight, batch.edge_counts), e


class GatedLayers(nn.Module):
    """φ of [v_i ‖ v_j ‖ e_ij]: two layers, times two other layers that end in a sigmoid."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = EdgeLinear(width, width, 2 * width)  # V_1 and U_1, a_1 and b_1
        self.value = nn.Linear(width, width)  # V_2, a_2
        self.gate = nn.Linear(width, width)  # U_2, b_2

    def reset_first(self) -> None:
        """Draws V_1 and U_1 each as a matrix of its own."""
        for part in self.first.linear.weight.data.chunk(2):
            nn.init.xavier_uniform_(part)

    def forward(
        self, v: Float[Tensor, "atoms width"], e: Float[Tensor, "edges width"], batch: GraphBatch
    ) -> Float[Tensor, "edges width"]:
        """φ of each edge."""
        hidden = F.silu(self.first(v, e, batch.edge_centers, batch.edge_neighbors))
        value, gate = hidden.chunk(2, dim=1)
        return F.silu(self.value(value)) * torch.sigmoid(self.gate(gate))


def _batches(
    store: ArrayStore, scaled_targets: np.ndarray, config: M3GNetConfig, cache: Path | None
) -> GraphBatches:
    rule = WithinRadius(float(config.radius))
    return GraphBatches(store, scaled_targets, cache, rule, last_element=LAST_ELEMENT)


ENTRY = ModelEntry(
    key="m3gnet",
    label="M3GNet",
    paper="Chen & Ong, Nat. Comput. Sci. 2022",
    config=M3GNetConfig,
    build=M3GNet,
    batches=_batches,
    graph="all within 5 Å, angles within 4 Å",
    published_parameters=231_709,
    published_recipe=TrainConfig(
        epochs=1000,
        batch_size=128,
        lr=1e-3,
        loss="mse",
        optimizer="adam",
        beta2=0.999,
        weight_decay=0.0,
        schedule="constant",
        clip_norm=10.0,
        scale_targets=False,
        swa_epochs=0,
    ),
)
