"""A model with batch norm that is small enough to follow by hand, and crystals for it."""

import numpy as np
import torch
from torch import Tensor, nn

from crystalformer.data.batch import CrystalBatch
from crystalformer.data.targets import TargetScaler
from crystalformer.training.loop import TrainingData


class CountingModel(nn.Module):
    """Predicts from the number of atoms and the mean Z: enough to learn from, small enough to follow."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, 8)
        self.norm = nn.BatchNorm1d(8)
        self.out = nn.Linear(8, 1)

    def features(self, batch: CrystalBatch) -> Tensor:
        z = torch.zeros(len(batch)).index_add(0, batch.crystal_of_atom, batch.numbers.float())
        return torch.stack([batch.sizes.float(), z / batch.sizes / 50], dim=1)

    def forward(self, batch: CrystalBatch) -> Tensor:
        return self.out(torch.tanh(self.norm(self.hidden(self.features(batch)))))


def counting_data() -> TrainingData:
    """Twenty crystals to train with and ten more, whose target the model's features have."""
    generator = np.random.default_rng(0)
    sizes = generator.integers(1, 6, 30)
    numbers = [generator.integers(1, 90, n) for n in sizes]
    values = np.array([n.mean() / 30 + len(n) for n in numbers])
    scaler = TargetScaler.fit(values[:20][:, None], "eV")
    scaled = scaler.scale(values[:, None])

    def make_batch(rows: np.ndarray) -> CrystalBatch:
        return CrystalBatch(
            numbers=torch.from_numpy(np.concatenate([numbers[row] for row in rows])),
            positions=torch.zeros(int(sizes[rows].sum()), 3),
            lattices=torch.eye(3).expand(len(rows), 3, 3),
            sizes=torch.from_numpy(sizes[rows]),
            targets=torch.from_numpy(scaled[rows].astype(np.float32)),
            indices=torch.from_numpy(rows),
        )

    return TrainingData(make_batch, np.arange(20), np.arange(20, 30), values, sizes, scaler)
