"""Several trained networks as one, for predictions: the seeds of an ensemble, and its targets.

All of them read the same batch. Their matrices are stacked, so that an operation on one network becomes one
on all, and their heads are the heads of one call of the attention sum, which then goes through the images and
the radial basis around each distance once instead of once per network.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from crystalformer.data.batch import CrystalBatch
from crystalformer.layers.segments import segment_mean
from crystalformer.model.blocks import Block
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.images import ImageList
from crystalformer.model.sigma import DecayRate


def alike(one: CrystalformerConfig, other: CrystalformerConfig) -> bool:
    """Whether networks of two configurations can be stacked, which may differ in their number of blocks."""
    return replace(one, num_layers=other.num_layers) == other


def stacked(networks: Sequence[Crystalformer]) -> Callable[[CrystalBatch], Tensor] | None:
    """What predicts a batch by all networks, (networks, crystals, targets), where they can be stacked.

    They can where configurations are `alike`, all attention is in real space and of the published form, and
    every network has been calibrated; else None.
    """
    config = networks[0].config
    published = (set(config.domains), config.frames, config.norm, config.decay) == (
        {"real"}, "none", "none", "learned",
    )  # fmt: skip
    same = all(alike(config, network.config) and network.calibrated for network in networks)
    return StackedCrystalformer(networks) if published and same else None


class StackedCrystalformer:
    """Networks whose configurations are `alike`, in the form of `stacked`; carries no gradients."""

    @torch.no_grad()
    def __init__(self, networks: Sequence[Crystalformer]) -> None:
        order = sorted(range(len(networks)), key=lambda place: -networks[place].config.num_layers)
        deepest_first = [networks[place] for place in order]
        self._first = deepest_first[0]
        self._places = torch.tensor(order).argsort()  # of the networks as given
        self._embedding = torch.cat([network.embedding.weight for network in deepest_first], dim=1)
        self._blocks = [
            _StackedBlock([network.blocks[depth] for network in deepest_first if len(network.blocks) > depth])
            for depth in range(self._first.config.num_layers)
        ]
        self._head = [
            _Linear([cast(nn.Linear, network.head[layer]) for network in deepest_first]) for layer in (0, 2)
        ]

    @torch.no_grad()
    def __call__(self, batch: CrystalBatch) -> Float[Tensor, "networks crystals targets"]:
        """Predicts a batch, in the scaled units of each network.

        Raises:
            ValueError: the batch is impossible (`check_batch`).
        """
        first = self._first
        images = first.geometry(batch).images
        x = self._embed(batch)
        finished: list[Tensor] = []  # features of the shallower networks, the shallowest last
        for block in self._blocks:
            finished.insert(0, x[block.networks :])
            x = block(x[: block.networks], images)
        x = torch.cat([x, *finished]).transpose(0, 1)
        means = segment_mean(x, batch.sizes, batch.checked).transpose(0, 1)
        hidden, output = self._head
        return output(functional.relu(hidden(means)))[self._places]

    def _embed(self, batch: CrystalBatch) -> Float[Tensor, "networks atoms width"]:
        if batch.occupancy is None:
            x = self._embedding[batch.numbers - 1]
        else:
            x = batch.occupancy[:, : len(self._embedding)] @ self._embedding
        return x.view(len(x), len(self._places), -1).transpose(0, 1)


class _Linear:
    """Linear layers of several networks, on (networks, rows, features)."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        self.weight = torch.stack([layer.weight.T for layer in layers]).contiguous()
        self.bias = torch.stack([layer.bias for layer in layers]).unsqueeze(1)

    def __call__(self, x: Float[Tensor, "networks rows n_in"]) -> Float[Tensor, "networks rows n_out"]:
        return torch.baddbmm(self.bias, x, self.weight)


class _StackedBlock:
    """`Block` of several networks, on (networks, atoms, width)."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        attentions = [block.attention for block in blocks]
        decays = [attention.decay for attention in attentions]
        assert all(isinstance(decay, DecayRate) for decay in decays)
        self.networks, self._heads = len(blocks), attentions[0].heads
        self._attend = attentions[0].attend
        self._projections = [
            _Linear([getattr(attention, name) for attention in attentions])
            for name in ("query", "key", "value")
        ]
        self._decay = _StackedDecay(decays)  # type: ignore[arg-type]
        encodings = [attention.value_encoding for attention in attentions]
        self._encoding = (
            torch.cat([encoding.transpose(1, 2) for encoding in encodings]).contiguous()  # type: ignore[union-attr]
            if encodings[0] is not None
            else None
        )
        self._output = _Linear([attention.output for attention in attentions])
        self._expand = _Linear([block.expand for block in blocks])
        self._contract = _Linear([block.contract for block in blocks])

    def __call__(
        self, x: Float[Tensor, "networks atoms width"], images: ImageList
    ) -> Float[Tensor, "networks atoms width"]:
        q, k, v = (self._split(project(x)) for project in self._projections)
        y, averaged_b = self._attend(q, k, v, self._decay(q), images)
        if averaged_b is not None and self._encoding is not None:
            y = y + torch.bmm(averaged_b.transpose(0, 1), self._encoding).transpose(0, 1)
        x = x + self._output(y.reshape(len(y), self.networks, -1).transpose(0, 1))
        return x + self._contract(functional.relu(self._expand(x)))

    def _split(self, x: Float[Tensor, "networks atoms width"]) -> Float[Tensor, "atoms heads d_K"]:
        """The heads of all networks after each other."""
        return x.transpose(0, 1).reshape(x.shape[1], self.networks * self._heads, -1)


class _StackedDecay:
    """`DecayRate` of several networks, the heads after each other."""

    def __init__(self, decays: Sequence[DecayRate]) -> None:
        heads = len(decays[0].weight)
        self._weight = torch.cat([decay.weight for decay in decays])
        self._mean = torch.stack([decay.mean for decay in decays]).repeat_interleave(heads)
        self._std = torch.stack([decay.std for decay in decays]).repeat_interleave(heads)
        self._a, self._b, self._r0 = decays[0].a, decays[0].b, decays[0].r0

    def __call__(self, q: Float[Tensor, "atoms heads d_K"]) -> Float[Tensor, "atoms heads"]:
        argument = ((q * self._weight).sum(2) - self._mean) / self._std
        rho = (1 - self._b) * functional.elu(self._a * argument / (1 - self._b)) + 1
        return rho * (-0.5 / self._r0**2)
