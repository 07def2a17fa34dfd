"""`Crystalformer`: numbers of a crystal from its atoms and lattice."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from crystalformer.data.batch import CrystalBatch
from crystalformer.layers.radial_basis import GaussianBasis
from crystalformer.layers.segments import segment_mean
from crystalformer.model.blocks import Block, initialise_embedding
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.geometry import Geometry, check_batch
from crystalformer.model.kernels.dispatch import fused_kernel


class Crystalformer(nn.Module):
    """Embedding of the element, L blocks of infinitely connected attention, mean over atoms, two layers.

    Taniai et al., ICLR 2024 (arXiv 2403.11686), Fig. 2 and Sec. 4. The published model, which the defaults of
    `CrystalformerConfig` describe, has 853,505 trainable parameters here. The paper counts 12 more: the
    constants m and s of each block, here buffers, and one unused number per block. So it is with the other
    domains: 853,505 in "multihead" (where the value encoding keeps the rows of the reciprocal heads, unused,
    as in published weights), 837,121 in "real-reci" and 820,737 in "reci".

    Call `calibrate` with the first training batch before the first `forward`; its result is part of the
    state dict.
    """

    blocks: list[Block]

    def __init__(self, config: CrystalformerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CrystalformerConfig()
        self.embedding = nn.Embedding(config.elements, config.width)
        self.blocks = nn.ModuleList(Block(config, domain) for domain in config.domains)  # type: ignore[assignment]
        hidden = config.output_width or config.width
        self.head = nn.Sequential(
            nn.Linear(config.width, hidden), nn.ReLU(), nn.Linear(hidden, config.targets)
        )
        self.basis = GaussianBasis(config.value_basis, config.r_max) if config.value_basis else None
        initialise_embedding(self.embedding, config.num_layers)

    @property
    def calibrated(self) -> bool:
        """Whether every block has its m and s, where it uses them."""
        return all(block.attention.decay.calibrated for block in self.blocks)

    @torch.no_grad()
    def calibrate(self, batch: CrystalBatch) -> None:
        """Sets m and s of sigma, block after block, from the first training batch.

        The features that enter a block come from blocks that are already calibrated with this batch. Earlier
        values are replaced.

        Raises:
            ValueError: the batch is impossible (`check_batch`), or all its queries are equal.
        """
        geometry = self.geometry(batch)
        x = self.embed(batch)
        for block in self.blocks:
            block.calibrate(x)
            x = block(x, geometry)

    def forward(self, batch: CrystalBatch) -> Float[Tensor, "crystals targets"]:
        """Predicts a batch.

        Returns:
            (crystals, targets), in the scaled units of `batch.targets`.

        Raises:
            RuntimeError: the model has not been calibrated.
            ValueError: the batch is impossible (`check_batch`).
        """
        if not batch.checked:
            self._require_statistics()
        geometry = self.geometry(batch)
        x = self.embed(batch)
        for block in self.blocks:
            x = block(x, geometry)
        return self.head(segment_mean(x, batch.sizes, batch.checked))

    @property
    def needs_no_host(self) -> bool:
        """Whether `forward` of a checked `ImageBatch` leaves the host nothing to wait for.

        Then the step can be captured as a CUDA graph. It takes the fused kernel, all attention in real space
        and stored image lists.
        """
        config, device = self.config, next(self.parameters()).device.type
        kernel = fused_kernel(device) if config.kernel == "auto" else config.kernel
        stored = config.images_radius is not None and config.frames == "none"
        return stored and set(config.domains) == {"real"} and kernel in ("cpu", "gpu")

    def check(self, batch: CrystalBatch) -> None:
        """What `forward` looks at before it predicts a batch that is not `checked`, with its errors."""
        self._require_statistics()
        check_batch(batch, self.config.elements)

    def _require_statistics(self) -> None:
        if not self.calibrated:
            raise RuntimeError(
                "the Crystalformer has no statistics of q.w yet (m and s of sigma): "
                "call calibrate(batch) with the first training batch, or load the weights of a trained model"
            )

    def embed(self, batch: CrystalBatch) -> Float[Tensor, "atoms width"]:
        """Features (atoms, width): the row of the atom's element.

        Of a mixed site it is the sum of its elements' rows times their shares; a vacancy adds nothing.
        """
        if batch.occupancy is None:
            return self.embedding(batch.numbers - 1)
        return batch.occupancy[:, : self.config.elements] @ self.embedding.weight

    def geometry(self, batch: CrystalBatch) -> Geometry:
        """Where the atoms of a batch are, shared by all blocks and heads.

        Raises:
            ValueError: the batch is impossible (`check_batch`).
        """
        if not batch.checked:
            check_batch(batch, self.config.elements)
        return Geometry(batch, self.config, self.basis)
