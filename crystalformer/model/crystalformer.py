"""`Crystalformer`: numbers of a crystal from its atoms and lattice."""

import torch
from torch import Tensor, nn

from crystalformer.data.batch import CrystalBatch
from crystalformer.data.image_batch import ImageBatch
from crystalformer.layers.radial_basis import GaussianBasis
from crystalformer.layers.segments import segment_mean
from crystalformer.model.blocks import Block, initialise_embedding
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.images import ImageList, list_images, list_images_within

ELEMENTS = 98  # hydrogen to californium


class Crystalformer(nn.Module):
    """Embedding of the element, L blocks of infinitely connected attention, mean over atoms, two layers.

    Taniai et al., ICLR 2024 (arXiv 2403.11686), Fig. 2 and Sec. 4. The published model, which the defaults of
    `CrystalformerConfig` describe, has 853,505 trainable parameters here. The paper counts 12 more: the
    constants m and s of each block, here buffers, and one unused number per block.

    Call `calibrate` with the first training batch before the first `forward`; its result is part of the
    state dict.
    """

    blocks: list[Block]

    def __init__(self, config: CrystalformerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CrystalformerConfig()
        self.embedding = nn.Embedding(ELEMENTS, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))  # type: ignore[assignment]
        self.head = nn.Sequential(
            nn.Linear(config.width, config.width), nn.ReLU(), nn.Linear(config.width, config.targets)
        )
        self.basis = GaussianBasis(config.value_basis, config.r_max) if config.value_basis else None
        initialise_embedding(self.embedding, config.num_layers)

    @property
    def calibrated(self) -> bool:
        """Whether every block has its m and s."""
        return bool(torch.stack([block.attention.decay.std for block in self.blocks]).isfinite().all())

    @torch.no_grad()
    def calibrate(self, batch: CrystalBatch) -> None:
        """Sets m and s of sigma, block after block, from the first training batch.

        The features that enter a block come from blocks that are already calibrated with this batch. Earlier
        values are replaced.

        Raises:
            ValueError: an element is unknown, a lattice is flat, or all queries of the batch are equal.
        """
        images = self.images(batch)
        x = self.embed(batch.numbers)
        for block in self.blocks:
            block.attention.calibrate(x)
            x = block(x, images)

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Predicts a batch.

        Returns:
            (crystals, targets), in the scaled units of `batch.targets`.

        Raises:
            RuntimeError: the model has not been calibrated.
            ValueError: an element is unknown or a lattice is flat.
        """
        if not self.calibrated:
            raise RuntimeError(
                "the Crystalformer has no statistics of q.w yet (m and s of sigma): "
                "call calibrate(batch) with the first training batch, or load the weights of a trained model"
            )
        images = self.images(batch)
        x = self.embed(batch.numbers)
        for block in self.blocks:
            x = block(x, images)
        return self.head(segment_mean(x, batch.sizes))

    def embed(self, numbers: Tensor) -> Tensor:
        """Features (atoms, width) of atomic numbers (atoms,)."""
        if bool((numbers < 1).any()) or bool((numbers > ELEMENTS).any()):
            wrong = sorted({int(z) for z in numbers.unique() if not 1 <= z <= ELEMENTS})
            raise ValueError(f"numbers: expected atomic numbers Z from 1 to {ELEMENTS}, got Z = {wrong}")
        return self.embedding(numbers - 1)

    def images(self, batch: CrystalBatch) -> ImageList:
        """The images of a batch, shared by all blocks and heads.

        An `ImageBatch` brings those within a radius along, in which case it must be that of the
        configuration; otherwise they are listed here.
        """
        config = self.config
        arrays = batch.positions, batch.lattices, batch.sizes
        if (radius := config.images_radius) is not None:
            if isinstance(batch, ImageBatch):
                return ImageList(
                    sizes=batch.sizes,
                    offsets=batch.image_offsets,
                    key=batch.image_keys,
                    cell=None,
                    distance=batch.image_distances,
                    reach=None,
                    sigma_max=config.sigma_max,
                    basis=self.basis,
                )
            return list_images_within(*arrays, radius, config.sigma_max, self.basis)
        return list_images(*arrays, config.lattice_range, config.sigma_max, self.basis)
