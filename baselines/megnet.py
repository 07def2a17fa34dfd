r"""MEGNet, graph networks with features of atoms, bonds and the crystal as a whole.

C. Chen, W. Ye, Y. Zuo, C. Zheng and S. P. Ong, Chem. Mater. 31, 3564 (2019), and
https://github.com/materialsvirtuallab/megnet.

Atom i starts from a row of a table of elements, a bond from Gaussians of its length with 100 centres μ_m
from 0 to 5 Å, the crystal from u = (0, 0). All neighbours within 4 Å are bonded. With
ζ(x) = softplus(x) - ln 2 and D(x) = ζ(W_2 ζ(W_1 x + b_1) + b_2), each D with its own weights,

    v_i = D(a_Z),   e_ij = D(exp(-(d_ij - μ_m)² / (0.5 Å)²)),   u = D((0, 0))

and then block after block, where the first has no D:

    v̂, ê, û = D(v), D(e), D(u)
    e'_ij = φ_e([v̂_i ‖ v̂_j ‖ ê_ij ‖ û])
    v'_i = φ_v([mean_j e'_ij ‖ v̂_i ‖ û])
    u' = φ_u([mean_ij e'_ij ‖ mean_i v'_i ‖ û])
    v ← v + v',  e ← e + e',  u ← u + u',   φ(x) = W_3 ζ(W_2 ζ(W_1 x + b_1) + b_2) + b_3

    y = W_3 ζ(W_2 ζ(W_1 [Set2Set(v) ‖ Set2Set(e) ‖ u] + b_1) + b_2) + b_3

The means without index j or i are over all bonds and all atoms of the crystal.

Parameters: 167,761, those of `MEGNetModel` with its defaults (nvocal 95, npass 3, a state of two numbers). Of
them, 128 multiply the zeros of u and 1,056 belong to the forget gates of Set2Set (see below): parts of larger
tensors but for the first matrix of the state, whose gradient is always 0.

Where published code and later ones differ, the published code is followed, as its results are the ones known:
- φ ends without an activation. MatGL puts ζ there: `activates_updates`.
- Set2Set starts each of its steps from an empty LSTM cell, since the released code drops the one of the step
  before, so that the forget gate does nothing. `carries_cell` gives Set2Set as its authors published it.

What differs from the published code:
- W [v_i ‖ v_j ‖ e ‖ u] is computed as a sum of four products, three of which are done per atom; D of the
  Gaussians is computed once for all bonds of one length. The same function with less work.
- The published recipe does not scale targets and clips the gradient of each tensor by itself (`clipnorm` of
  Keras), where here the norm of the whole gradient is bounded.
- Dropout, classification and state inputs are left out; by default, none is used.

MatGL's MEGNet is not used in its place: it is another model (189,521 parameters, wider Gaussians and another
Set2Set), and its training step takes 1.5 times as long (0.13 against 0.085 CPU-seconds for 64 crystals of the
Materials Project with 728 atoms and 11,012 bonds, one core of an AMD EPYC). Its blocks serve as a check.

The table ends at Z = 94. As in the published code, a crystal with an atom that has no neighbour within 4 Å is
not represented.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.features.edge_linear import rows_of
from baselines.features.gaussians import GaussianGrid
from baselines.features.glorot import keras_defaults
from baselines.features.set2set import Set2Set
from baselines.features.shifted_softplus import shifted_softplus
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.batch_checks import check_elements
from baselines.graphs.config_checks import check_lengths, check_whole_numbers
from baselines.graphs.radius import WithinRadius
from crystalformer.data.array_store import ArrayStore
from crystalformer.entry import ModelEntry
from crystalformer.layers.segments import segment_sum
from crystalformer.training.config import TrainConfig

LAST_ELEMENT = 94
STATE = 2  # numbers in u, all 0


@dataclass(frozen=True)
class MEGNetConfig:
    """Settings of MEGNet; the defaults are those of the published code, whose names stand behind.

    Raises:
        ValueError: a value is outside its range; the message names field, range and value.
    """

    embedding_width: int = 16  # embedding_dim
    blocks: int = 3  # nblocks
    hidden_width: int = 64  # n1: of D and φ
    width: int = 32  # n2: of v, e and u
    readout_width: int = 16  # n3: of Set2Set and the last hidden layer
    readout_steps: int = 3  # npass, T of Set2Set
    radius: float = 4.0  # cutoff, in Å
    gaussians: int = 100  # number of centres
    last_center: float = 5.0  # μ of the last, in Å; the first is at 0
    gaussian_width: float = 0.5  # in Å
    activates_updates: bool = False  # ζ after the last layer of φ
    carries_cell: bool = False  # of the LSTM in Set2Set, from step to step
    targets: int = 1

    def __post_init__(self) -> None:
        check_whole_numbers(self, embedding_width=1, blocks=1, hidden_width=1, width=1)
        check_whole_numbers(self, readout_width=1, readout_steps=1, gaussians=2, targets=1)
        check_lengths(self, "radius", "last_center", "gaussian_width")


class Layers(nn.Module):
    """Linear layers of these widths with ζ between them and, if asked for, after the last."""

    def __init__(self, *widths: int, activates_last: bool = True) -> None:
        super().__init__()
        self.first = nn.Linear(widths[0], widths[1])
        self.rest = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths[1:]))
        self.activates_last = activates_last

    def forward(self, x: Float[Tensor, "*rows n_in"]) -> Float[Tensor, "*rows n_out"]:
        """From the first width to the last."""
        return self.after_first(self.first(x))

    def after_first(self, z: Float[Tensor, "*rows second"]) -> Float[Tensor, "*rows n_out"]:
        """What follows the first layer, of which `z` is the result."""
        for layer in self.rest:
            z = layer(shifted_softplus(z))
        return shifted_softplus(z) if self.activates_last else z


class MEGNet(nn.Module):
    """Takes a `GraphBatch` with all edges within `config.radius`, returns (crystals, targets)."""

    def __init__(self, config: MEGNetConfig) -> None:
        super().__init__()
        self.config = config
        hidden, width, last = config.hidden_width, config.width, config.readout_width
        gamma = config.gaussian_width**-2
        self.grid = GaussianGrid(0.0, config.last_center, config.gaussians, gamma=gamma)
        self.embedding = nn.Embedding(LAST_ELEMENT + 1, config.embedding_width)
        self.atom_layers = Layers(config.embedding_width, hidden, width)
        self.bond_layers = Layers(config.gaussians, hidden, width)
        self.state_layers = Layers(STATE, hidden, width)
        self.blocks = nn.ModuleList(Block(config, first=block == 0) for block in range(config.blocks))
        self.output = Layers(4 * last + width, width, last, config.targets, activates_last=False)
        keras_defaults(self)
        self.atom_readout = Set2Set(width, last, config.readout_steps, config.carries_cell)
        self.bond_readout = Set2Set(width, last, config.readout_steps, config.carries_cell)

    def forward(self, batch: GraphBatch) -> Float[Tensor, "crystals targets"]:
        """Predictions in scaled units.

        Raises:
            ValueError: an element beyond Z = 94.
        """
        check_elements("MEGNet", batch, LAST_ELEMENT)
        lengths, rows = torch.unique(batch.edge_distances, return_inverse=True)
        v = self.atom_layers(self.embedding(batch.numbers))
        e = rows_of(self.bond_layers(self.grid(lengths)), rows)
        u = self.state_layers(e.new_zeros(len(batch), STATE))
        bonds = segment_sum(batch.edge_counts.to(e.dtype), batch.sizes).long()  # of each crystal
        for block in self.blocks:
            v, e, u = block(v, e, u, batch, bonds)
        crystal = [self.atom_readout(v, batch.sizes), self.bond_readout(e, bonds), u]
        return self.output(torch.cat(crystal, dim=1))


class Block(nn.Module):
    """One round of updates: bonds, atoms, crystal."""

    def __init__(self, config: MEGNetConfig, first: bool) -> None:
        super().__init__()
        hidden, width = config.hidden_width, config.width
        dense = nn.Identity if first else lambda: Layers(width, hidden, width)
        self.atom_dense, self.bond_dense, self.state_dense = dense(), dense(), dense()
        last = config.activates_updates
        self.bond_update = Layers(4 * width, hidden, hidden, width, activates_last=last)  # φ_e
        self.atom_update = Layers(3 * width, hidden, hidden, width, activates_last=last)  # φ_v
        self.state_update = Layers(3 * width, hidden, hidden, width, activates_last=last)  # φ_u

    def forward(
        self,
        v: Float[Tensor, "atoms n_in"],
        e: Float[Tensor, "edges n_in"],
        u: Float[Tensor, "crystals n_in"],
        batch: GraphBatch,
        bonds: Int[Tensor, " crystals"],
    ) -> tuple[Float[Tensor, "atoms width"], Float[Tensor, "edges width"], Float[Tensor, "crystals width"]]:
        """The new v, e and u; `bonds` has the number of edges of each crystal."""
        v_hat, e_hat, u_hat = self.atom_dense(v), self.bond_dense(e), self.state_dense(u)
        e_new = self.updated_bonds(v_hat, e_hat, u_hat, batch)
        gathered = segment_sum(e_new, batch.edge_counts)
        mean_of_atom = gathered / at_least_one(batch.edge_counts)
        u_of_atom = rows_of(u_hat, batch.crystal_of_atom)
        v_new = self.atom_update(torch.cat([mean_of_atom, v_hat, u_of_atom], dim=1))
        mean_bond = segment_sum(gathered, batch.sizes) / at_least_one(bonds)
        mean_atom = segment_sum(v_new, batch.sizes) / batch.sizes[:, None]
        u_new = self.state_update(torch.cat([mean_bond, mean_atom, u_hat], dim=1))
        return v + v_new, e + e_new, u + u_new

    def updated_bonds(
        self,
        v: Float[Tensor, "atoms width"],
        e: Float[Tensor, "edges width"],
        u: Float[Tensor, "crystals width"],
        batch: GraphBatch,
    ) -> Float[Tensor, "edges width"]:
        """φ_e([v_i ‖ v_j ‖ e_ij ‖ u])."""
        first = self.bond_update.first
        w_i, w_j, w_e, w_u = first.weight.chunk(4, dim=1)
        of_center = F.linear(v, w_i) + rows_of(F.linear(u, w_u), batch.crystal_of_atom)
        z = F.linear(e, w_e, first.bias)
        z += rows_of(of_center, batch.edge_centers)
        z += rows_of(F.linear(v, w_j), batch.edge_neighbors)
        return self.bond_update.after_first(z)


def at_least_one(counts: Int[Tensor, " rows"]) -> Int[Tensor, "rows 1"]:
    """Divisors of sums of so many terms, where a sum of none stays 0."""
    return counts.clamp(min=1)[:, None]


def _batches(
    store: ArrayStore, scaled_targets: np.ndarray, config: MEGNetConfig, cache: Path | None
) -> GraphBatches:
    rule = WithinRadius(float(config.radius), isolated_atoms=False)
    return GraphBatches(store, scaled_targets, cache, rule, last_element=LAST_ELEMENT)


ENTRY = ModelEntry(
    key="megnet",
    label="MEGNet",
    paper="Chen et al., Chem. Mater. 2019",
    config=MEGNetConfig,
    build=MEGNet,
    batches=_batches,
    graph="all within 4 Å",
    published_parameters=167_761,
    published_recipe=TrainConfig(
        epochs=1000,
        batch_size=128,
        lr=1e-3,
        loss="mse",
        optimizer="adam",
        beta2=0.999,
        weight_decay=0.0,
        schedule="constant",
        clip_norm=3.0,
        scale_targets=False,
        swa_epochs=0,
    ),
)
