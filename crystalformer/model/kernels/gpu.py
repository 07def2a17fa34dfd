"""The attention sum on a GPU, fused: every image is visited once forward and twice backward.

What is kept for the backward pass is linear in the number of atoms. While it runs, it has two numbers for
each image and head. The loops are in `gpu_loops`. With TRITON_INTERPRET=1 in the environment Triton runs
them on a CPU, step by step and slowly, which is how a machine without a GPU tests them.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from triton.runtime import JITFunction

from crystalformer.model.images import ImageList, box_cutoff
from crystalformer.model.kernels.gpu_loops import backward_key, backward_query, forward_atom

FLOATS = (torch.float32, torch.float64)
INTERPRETED = not isinstance(forward_atom, JITFunction)  # decided by Triton when its functions are defined
# As compiled for an H200, more than this does not fit into the registers of a program's threads.
IMAGES = 16  # of a tile
GROUP_NUMBERS = 256  # heads times features of one program, where a head has no more than that
SMALLEST_PRODUCT = 16  # rows that Triton's matrix products sum over, at least


def attend(q: Tensor, k: Tensor, v: Tensor, a: Tensor, images: ImageList) -> tuple[Tensor, Tensor | None]:
    """`crystalformer.model.kernels.reference.attend`, for float32 and float64 tensors on a GPU.

    The result has the same bits in every run. It can be differentiated once, by q, k, v and a. Nothing here
    waits for the GPU, so that a CUDA graph can hold it.

    Raises:
        ValueError: tensors of another kind, or distances that are to be differentiated.
    """
    if q.dtype not in FLOATS or not (q.is_cuda or INTERPRETED):
        raise ValueError(
            f"kernel: 'gpu' expects float32 or float64 tensors on a CUDA device, got {q.dtype} on {q.device}"
            "; use 'auto' or 'reference', or set TRITON_INTERPRET=1 to run it on a CPU for a test"
        )
    if images.distance.requires_grad:
        raise ValueError(
            "kernel: 'gpu' expects positions and lattices that need no gradient, got some that do; "
            "use 'auto' or 'reference'"
        )
    averaged_v, averaged_b = _Attend.apply(q, k, v, a, images)
    return averaged_v, averaged_b


def tile(heads: int, width: int, size: int) -> dict[str, int]:
    """HEADS, WIDTH, SIZE and IMAGES of `gpu_loops` for heads of d = `width` and K = `size`."""
    columns = _power_of_2(width)
    group = min(_power_of_2(heads), max(1, GROUP_NUMBERS // columns))
    basis = max(SMALLEST_PRODUCT, _power_of_2(size)) if size else 0
    return {"HEADS": group, "WIDTH": columns, "SIZE": basis, "IMAGES": IMAGES}


def warps(extents: dict[str, int]) -> int:
    """How many warps, of 32 threads, one program has: more for heads that are wide."""
    return 4 if extents["HEADS"] * extents["WIDTH"] <= GROUP_NUMBERS else 8


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, a: Tensor, images: ImageList
    ) -> tuple[Tensor, Tensor | None]:
        q, k, v, a = (x.contiguous() for x in (q, k, v, a))
        size = 0 if images.basis is None else images.basis.size
        averaged_v, averaged_b = torch.empty_like(v), q.new_empty(*a.shape, size)
        outputs = averaged_v, averaged_b, torch.empty_like(a), torch.empty_like(a)
        shape, constants = _launch(q, images)
        with _device_of(q):
            forward_atom[shape](*_inputs(q, k, v, a, images), *outputs, *q.shape[1:], size, **constants)
        ctx.images, ctx.size = images, size
        ctx.save_for_backward(q, k, v, a, *outputs)
        return averaged_v, averaged_b if size else None

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_v: Tensor, grad_b: Tensor | None) -> tuple[Tensor | None, ...]:
        q, k, v, a, *outputs = ctx.saved_tensors
        images: ImageList = ctx.images
        by_key = images.by_key
        dq, dk, dv, da = (torch.empty_like(x) for x in (q, k, v, a))
        grad_v = grad_v.contiguous()
        grad_b = outputs[1] if grad_b is None else grad_b.contiguous()  # empty, in the simplified model
        weights, slopes = (q.new_empty(len(images.key), q.shape[1]) for _ in range(2))
        shape, constants = _launch(q, images)
        passed = grad_v, grad_b, dq, da, weights, slopes
        with _device_of(q):
            backward_query[shape](
                *_inputs(q, k, v, a, images), *outputs, *passed, *q.shape[1:], ctx.size, **constants
            )
            for name in ("SIZE", "MASKED", "SPACING"):
                del constants[name]
            backward_key[shape](
                *(q, grad_v, by_key.query, by_key.offsets, by_key.order, weights, slopes, dk, dv),
                *q.shape[1:],
                **constants,
            )
        return dq, dk, dv, da, None


def _inputs(q: Tensor, k: Tensor, v: Tensor, a: Tensor, images: ImageList) -> tuple[Tensor, ...]:
    """The arrays that both passes over the queries read."""
    distance = images.distance.to(q.dtype)
    reach = cutoff = distance  # not read where images have no reach
    if images.reach is not None:
        reach, cutoff = images.reach.to(q.dtype).contiguous(), box_cutoff(a).contiguous()
    flat = images.offsets.contiguous(), images.key.contiguous(), distance.contiguous()
    return (q, k, v, a, *flat, reach, cutoff)


def _launch(q: Tensor, images: ImageList) -> tuple[tuple[int, int], dict[str, Any]]:
    """How many programs, and the constants they are compiled with."""
    atoms, heads, width = q.shape
    size = 0 if images.basis is None else images.basis.size
    extents = tile(heads, width, size)
    return (atoms, -(-heads // extents["HEADS"])), {
        **extents,
        "MASKED": images.reach is not None,
        "SCALE": 1 / math.sqrt(width),
        "SPACING": 1.0 if images.basis is None else images.basis.width,
        "num_warps": warps(extents),
        "enable_fp_fusion": True,
    }


def _device_of(tensor: Tensor) -> AbstractContextManager[Any]:
    """Where Triton launches: on the current device, which need not be that of its arguments."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def _power_of_2(number: int) -> int:
    """The smallest power of 2 that is not below a number of at least 1."""
    return 1 << (number - 1).bit_length()
