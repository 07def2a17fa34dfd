"""Time of one training step: `python -m benchmarks.step [--json] [--repeat N] [--threads N] [--frames NAME]`.

A step is forward, L1 loss, backward, clipping and AdamW as in training, on a fixed batch of 128 real crystals
with all images within 6.93 Å. It is measured beside the same step with the attention sum replaced by a copy
of its inputs (`dense_step_s`): what remains are the linear layers and the optimiser. The two take turns, so
that whatever else the machine does disturbs both alike, and medians are compared. With `--frames` the step is
one of CrystalFramer; the dense one stays that of Crystalformer.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.batch import RADIUS, fixed_batch
from crystalformer.allocator import keep_freed_memory
from crystalformer.data.image_batch import ImageBatch
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.images import ImageList
from crystalformer.training.config import TrainConfig
from crystalformer.training.optimizers import build_optimizer


def measure(kernel: str, repeat: int, reference_repeat: int, frames: str = "none") -> dict[str, object]:
    """Medians of the step times in seconds, and what was measured."""
    batch = fixed_batch()
    step = training_step(kernel, batch, frames=frames)
    dense = training_step(kernel, batch, without_attention=True)
    times = _alternate(step, dense, repeat=repeat)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (
        20 if sys.platform == "darwin" else 10
    )
    [reference_times] = _alternate(training_step("reference", batch, frames=frames), repeat=reference_repeat)
    step_s, dense_step_s = (median(t) for t in times)
    return {
        "kernel": kernel,
        **({} if frames == "none" else {"frames": frames}),
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "crystals": len(batch),
        "atoms": len(batch.numbers),
        "images": len(batch.image_keys),
        "step_s": step_s,
        "dense_step_s": dense_step_s,
        "ratio": step_s / dense_step_s,
        "reference_step_s": median(reference_times),
        "peak_mb": round(peak_mb, 1),
    }


def training_step(
    kernel: str, batch: ImageBatch, without_attention: bool = False, frames: Any = "none"
) -> Callable[[], None]:
    """A function that trains a new model of the published size for one step; warmed up."""
    torch.manual_seed(0)
    settings = {"lattice_range": "radius", "radius": RADIUS, "kernel": kernel, "frames": frames}
    model = Crystalformer(CrystalformerConfig(**settings))
    model.calibrate(batch)
    if without_attention:
        for block in model.blocks:
            block.attention.attend = copy_instead
    optimizer = build_optimizer(model, TrainConfig())

    def step() -> None:
        loss = functional.l1_loss(model(batch), batch.targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    for _ in range(3):
        step()
    return step


class _Copy(torch.autograd.Function):
    """v as O, q repeated as B, and their gradients as those of all inputs: nothing but copies."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, a: Tensor, size: int) -> tuple[Tensor, Tensor]:
        width = q.shape[-1]
        return v.clone(), q.repeat(1, 1, -(-size // width))[..., :size]

    @staticmethod
    def backward(ctx: Any, grad_v: Tensor, grad_b: Tensor) -> tuple[Tensor | None, ...]:
        part = grad_b[..., : grad_v.shape[-1]]
        return part.clone(), part.clone(), grad_v.clone(), grad_b[..., 0].clone(), None


def copy_instead(q: Tensor, k: Tensor, v: Tensor, a: Tensor, images: ImageList) -> tuple[Tensor, Tensor]:
    """Stands in for the attention sum, with results of its shapes."""
    assert images.basis is not None
    return _Copy.apply(q, k, v, a, images.basis.size)


def _alternate(*functions: Callable[[], None], repeat: int) -> list[list[float]]:
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeat):
        for function, taken in zip(functions, times, strict=True):
            started = time.perf_counter()
            function()
            taken.append(time.perf_counter() - started)
    return times


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.step", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--kernel", default="cpu", help="auto, reference or cpu")
    parser.add_argument("--frames", default="none", help="none, max or weighted-pca")
    parser.add_argument("--repeat", type=int, default=40, help="steps of each kind")
    parser.add_argument("--threads", type=int, help="PyTorch's default if not given")
    options = parser.parse_args(arguments)
    keep_freed_memory()  # as the trials do
    if options.threads:
        torch.set_num_threads(options.threads)
    result = measure(options.kernel, options.repeat, reference_repeat=3, frames=options.frames)
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:18} {value}")


if __name__ == "__main__":
    main()
