"""Training steps that the host only starts: crystals on the device, one CUDA graph for each shape of a batch.

A step is small, so what it costs on a GPU are the launches of its hundreds of operations and whatever the
host waits for. Here the crystals stay on the device (`DeviceBatches`), a batch is gathered there and padded
to one of a few shapes, and what an epoch records is added up there. On a CUDA device the first step of a
shape runs as it is, the second is captured as a graph, and from then on the graph is replayed.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor, nn

from crystalformer.data.batch import CrystalBatch
from crystalformer.data.capacity import Capacity, ladder_for
from crystalformer.data.device_batches import DeviceBatches
from crystalformer.data.image_batch import ImageBatches
from crystalformer.training.config import TrainConfig

CHECKED_AT_A_TIME = 1024  # crystals
SHARE_OF_MEMORY = 0.5  # of the free memory of a device, that crystals may take

Loss = Callable[[Tensor, Tensor], Tensor]


def resident(
    make_batch: Callable[[np.ndarray], CrystalBatch],
    model: nn.Module,
    rows: Int[np.ndarray, " crystals"],
    device: torch.device,
) -> DeviceBatches | None:
    """The crystals with these store rows, checked and on the device.

    None where the model needs the host, where its batches have no stored image lists, where there are mixed
    sites, or where they would take too much of the device's memory.

    Raises:
        ValueError, RuntimeError: the model cannot predict a crystal, or nothing yet.
    """
    if not isinstance(make_batch, ImageBatches) or not getattr(model, "needs_no_host", False):
        return None
    if len(make_batch.store.mixed):
        return None
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if DeviceBatches.bytes_of(make_batch, rows) > SHARE_OF_MEMORY * free:
            return None
    checked: Any = model
    for start in range(0, len(rows), CHECKED_AT_A_TIME):
        checked.check(make_batch.crystals(rows[start : start + CHECKED_AT_A_TIME]))
    return DeviceBatches(make_batch, rows, device)


class DeviceSteps:
    """The training steps of a model on crystals that are on its device.

    Attributes:
        graphs: the captured steps, by the capacity of their batches.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: DeviceBatches,
        train: Int[np.ndarray, " crystals"],
        optimizer: torch.optim.Optimizer,
        config: TrainConfig,
        loss: Loss,
    ) -> None:
        self.model, self.batches, self.optimizer, self.config, self.loss = (
            model,
            batches,
            optimizer,
            config,
            loss,
        )
        device = batches.device
        places = batches.places[train]
        size = min(config.batch_size, len(train))
        self.ladder = ladder_for(batches.atoms[places], batches.images[places], size)
        self.places = torch.zeros(size, dtype=torch.int64, device=device)  # of the present step
        self.rate = torch.zeros((), device=device)
        self.totals = torch.zeros(3, dtype=torch.float64, device=device)  # of errors, gradient norms, losses
        self.graphs: dict[Capacity, torch.cuda.CUDAGraph] = {}
        self._met: set[Capacity] = set()
        self._captures = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if self._captures else None

    def run(
        self,
        order: Sequence[Int[np.ndarray, " batch"]],
        rates: Sequence[float],
        after: Callable[[], None],
    ) -> Float64[Tensor, "3"]:
        """One epoch of steps with these store rows and learning rates; `after` is called after each.

        Returns:
            On the device: sums over the steps of mean absolute error, of gradient norm before
            clipping, and of loss; the first and the last in scaled units.
        """
        places = self.batches.upload(np.stack(order))
        schedule = torch.tensor(rates, dtype=torch.float32).to(self.batches.device)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        with self._beside():
            self.totals.zero_()
            for step, indices in enumerate(order):
                self.places.copy_(places[step])
                self.rate.copy_(schedule[step])
                self._step(self.ladder.holding(*self.batches.need(indices)))
                after()
        return self.totals

    def _step(self, capacity: Capacity) -> None:
        if capacity in self.graphs:
            self.graphs[capacity].replay()
        elif not self._captures or capacity not in self._met:
            self._met.add(capacity)
            self.step(capacity)
        elif self._capture(capacity):
            self.graphs[capacity].replay()
        else:
            self.step(capacity)

    def _capture(self, capacity: Capacity) -> bool:
        """Captures a step, without doing it; whether that was possible."""
        graph = torch.cuda.CUDAGraph()
        pool = next((other.pool() for other in self.graphs.values()), None)
        try:
            with torch.cuda.graph(graph, pool=pool, stream=self._stream):
                self.step(capacity)
        except RuntimeError as error:
            warnings.warn(
                f"training steps are not captured as CUDA graphs, but slower: {error}", stacklevel=2
            )
            self._captures = False
            return False
        self.graphs[capacity] = graph
        return True

    def step(self, capacity: Capacity) -> None:
        """One step on the crystals at `places`; nothing in it waits for the device."""
        batch = self.batches.gather(self.places, capacity)
        prediction = self.model(batch)[: batch.real]
        targets = batch.targets[: batch.real]
        loss = self.loss(prediction, targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm or math.inf)
        self.optimizer.step()
        error = (prediction.detach() - targets).abs().mean()
        self.totals += torch.stack([error, norm, loss.detach()]).double()

    def _beside(self) -> AbstractContextManager[Any]:
        """A stream of its own, since a graph cannot be captured on the default one."""
        return nullcontext() if self._stream is None else _OnStream(self._stream)


class _OnStream:
    """Work on another stream, after what was asked for before and before what is asked for then."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        self.before = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(self.before)
        torch.cuda.set_stream(self.stream)

    def __exit__(self, *_: object) -> None:
        torch.cuda.set_stream(self.before)
        self.before.wait_stream(self.stream)
