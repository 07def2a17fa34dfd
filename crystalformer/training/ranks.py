"""`Ranks`: the processes that train one model together, data-parallel, and what they tell each other.

Every process has the whole model and takes the same steps. Of a batch each computes the gradient of its own
crystals, weighted so that the sum over the processes is the gradient of the batch; of the validation batches
each predicts every n-th. All that is needed of a step goes round in one sum.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from crystalformer.training.memory import out_of_memory

_HERE = "127.0.0.1"
_PATIENCE = timedelta(hours=12)  # a process that is gone is noticed at once; one that waits may wait long


class LostRank(RuntimeError):
    """Another process of the model is gone: the run can go on from its checkpoint, in new processes."""


class RankFailed(RuntimeError):
    """Another process of the model raised an error, as it would again."""


@dataclass
class Told:
    """What a process has to say after its part of the work."""

    sums: tuple[float, float] = (0.0, 0.0)
    failure: Exception | None = None

    @property
    def flags(self) -> tuple[float, float]:
        """Whether it failed, and whether for lack of memory."""
        failed = self.failure is not None
        return float(failed), float(failed and out_of_memory(self.failure))  # type: ignore[arg-type]


class Ranks:
    """This process among the others.

    Args:
        rank, size: its number, from 0, and how many there are.
        store: where they meet, `listening_store` of rank 0 and `store_at` of the others.
        device: of the model; on CUDA devices NCCL carries the sums, else Gloo.
    """

    def __init__(self, rank: int, size: int, store: distributed.Store, device: str) -> None:
        self.rank, self.size = rank, size
        self._device = torch.device(device)
        backend = "nccl" if self._device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)

    def close(self) -> None:
        """Leave the others; they notice when they wait for this one."""
        distributed.destroy_process_group()

    @contextmanager
    def together(self) -> Iterator[Told]:
        """This process's part of a common piece of work: an error is told to the others, not raised here."""
        told = Told()
        try:
            yield told
        except Exception as error:
            told.failure = error

    @torch.no_grad()
    def add_up_step(self, model: nn.Module, share: float, told: Told) -> tuple[float, float]:
        """Add up gradients, and the sums told, over the processes; each has the result.

        Args:
            model: its gradients are replaced, its batch-norm statistics by their weighted mean.
            share: of the batch's crystals that were this process's.
            told: what `together` gave.
        """
        parameters = list(model.parameters())
        dtype = parameters[0].dtype
        if told.failure is not None:
            model.zero_grad(set_to_none=True)
        statistics = _running_statistics(model)
        present = [float(p.grad is not None) for p in parameters]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        numbers = torch.tensor([*told.flags, *told.sums, *present], dtype=dtype, device=self._device)
        pieces = [numbers, *gradients, *(each * share for each in statistics)]
        shapes = [piece.shape for piece in pieces]
        flat = self._sum(torch.cat([piece.reshape(-1).to(dtype) for piece in pieces]))
        summed = [part.view(shape) for part, shape in zip(_cut(flat, shapes), shapes, strict=True)]
        head = summed[0].tolist()
        self._raise_failures(told, head)
        counts = head[4:]
        for parameter, gradient, count in zip(parameters, summed[1:], counts, strict=False):
            parameter.grad = gradient.clone() if count else None
        for own, common in zip(statistics, summed[1 + len(parameters) :], strict=True):
            own.copy_(common)
        return head[2], head[3]

    @torch.no_grad()
    def average_statistics(self, model: nn.Module, share: float, told: Told) -> None:
        """Replace batch-norm statistics by their mean over the processes, each weighted by its `share`."""
        statistics = _running_statistics(model)
        flags = statistics[0].new_tensor(told.flags)
        flat = self._sum(torch.cat([flags, *(each.reshape(-1) * share for each in statistics)]))
        self._raise_failures(told, flat[:2].tolist())
        for own, common in zip(statistics, _cut(flat[2:], [each.shape for each in statistics]), strict=True):
            own.copy_(common)

    def add_up_rows(
        self, own: Sequence[int], values: Float[np.ndarray, "own targets"], shape: tuple[int, ...], told: Told
    ) -> Float64[np.ndarray, "rows targets"]:
        """A table of this shape, of which each process has the rows `own`."""
        table = torch.zeros(shape, dtype=torch.float64)
        if told.failure is None and len(own):
            table[torch.as_tensor(own)] = torch.from_numpy(values)
        flat = torch.cat([torch.tensor(told.flags, dtype=torch.float64), table.view(-1)])
        summed = self._sum(flat.to(self._device)).cpu()
        self._raise_failures(told, summed[:2].tolist())
        return summed[2:].view(shape).numpy()

    def check_same(self, numbers: list[float]) -> None:
        """Compare what should be the same in all processes.

        Raises:
            RuntimeError: it is not.
        """
        largest = torch.tensor([*numbers, *(-number for number in numbers)], dtype=torch.float64)
        largest = largest.to(self._device)
        distributed.all_reduce(largest, distributed.ReduceOp.MAX)
        high, low = largest.cpu().view(2, -1)
        if not torch.equal(high, -low):
            raise RuntimeError(
                f"expected processes that begin alike, got {(-low).tolist()} to {high.tolist()}"
            )

    def _sum(self, flat: Tensor) -> Tensor:
        try:
            distributed.all_reduce(flat)
        except RuntimeError as error:
            raise LostRank(f"another process of the model is gone: {str(error).splitlines()[0]}") from error
        return flat

    def _raise_failures(self, told: Told, head: Sequence[float]) -> None:
        if told.failure is not None:
            raise told.failure
        if head[1]:
            raise RankFailed("out of memory in another process of the model")
        if head[0]:
            raise RankFailed("an error in another process of the model")


def listening_store(size: int) -> distributed.TCPStore:
    """Where rank 0 waits for the others, on this machine only; `port` says where."""
    return distributed.TCPStore(
        "127.0.0.1", 0, size, is_master=True, timeout=_PATIENCE, wait_for_workers=False
    )


def store_at(port: int, size: int) -> distributed.TCPStore:
    """The same for the other ranks."""
    return distributed.TCPStore(_HERE, port, size, is_master=False, timeout=timedelta(minutes=2))


def _running_statistics(model: nn.Module) -> list[Tensor]:
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    pairs = [(layer.running_mean, layer.running_var) for layer in layers]
    return [each for pair in pairs for each in pair if each is not None]


def _cut(flat: Tensor, shapes: Sequence[torch.Size]) -> tuple[Tensor, ...]:
    return flat.split([shape.numel() for shape in shapes])
