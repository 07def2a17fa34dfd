"""What both ComFormers have in common, in float64: concatenated features, a norm over all rows."""

from typing import Any

import numpy as np
from numpy_layers import NumpyLayers, sigmoid, silu, softplus

from baselines.features.atom_table import atom_table
from crystalformer.data.crystal import Crystal


def gaussians(x: np.ndarray, low: float, high: float, size: int) -> np.ndarray:
    centers, step = np.linspace(low, high, size, retstep=True)
    return np.exp(-((np.asarray(x)[..., None] - centers) ** 2) / step)


class Oracle(NumpyLayers):
    """The layers that both models have, with the weights of a model; `training`: norms use the batch."""

    def __init__(self, model: Any, crystals: list[Crystal], batch: Any, training: bool) -> None:
        super().__init__(model, training)
        self.size = model.config.gaussians
        self.crystals = crystals
        self.owner = np.repeat(np.arange(len(crystals)), [len(crystal) for crystal in crystals])
        self.edges = list(zip(batch.edge_centers.tolist(), batch.edge_neighbors.tolist(), strict=True))
        self.e = self.of_length(batch.edge_distances.numpy())

    def of_length(self, length: np.ndarray) -> np.ndarray:
        return softplus(self.linear("length", gaussians(-0.75 / length, -4, 0, self.size)))

    def embedded(self) -> np.ndarray:
        numbers = np.concatenate([crystal.numbers for crystal in self.crystals])
        return self.linear("embedding", atom_table().double().numpy()[numbers])

    def messages(self, name: str, q: np.ndarray, keys: list, values: list) -> np.ndarray:
        """m of the rows whose parts of key and value are listed."""
        k = self.linear(f"{name}.key_update.first", np.concatenate(keys, axis=1))
        k = self.linear(f"{name}.key_update.second", silu(k))
        v = self.linear(f"{name}.message_update.first", np.concatenate(values, axis=1))
        v = self.linear(f"{name}.message_update.second", silu(v))
        return v * sigmoid(self.batch_norm(f"{name}.attention_norm", q * k / np.sqrt(q.shape[1])))

    def convolution(self, name: str, x: np.ndarray) -> np.ndarray:
        q, k, v = (self.linear(f"{name}.{part}", x) for part in ("query", "key", "value"))
        i, j = np.array(self.edges).T
        e = self.linear(f"{name}.edge", self.e)
        m = self.messages(f"{name}.messages", q[i], [k[i], k[j], e], [v[i], v[j], e])
        total = np.zeros_like(x)
        for center, message in zip(i, m, strict=True):
            total[center] += message
        return softplus(x + self.batch_norm(f"{name}.norm", self.linear(f"{name}.concat", total)))

    def read_out(self, x: np.ndarray) -> np.ndarray:
        means = np.array([x[self.owner == place].mean(axis=0) for place in range(len(self.crystals))])
        return self.linear("output", silu(self.linear("hidden", means)))
