"""Which implementation of the attention sum a model uses; decided once, when it is built."""

import os
from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor

from crystalformer.model.images import ImageList
from crystalformer.model.kernels import reference

FLOATS = (torch.float32, torch.float64)  # that the fused kernels take
Attend = Callable[[Tensor, Tensor, Tensor, Tensor, ImageList], tuple[Tensor, Tensor | None]]


def choose_kernel(name: str) -> Attend:
    """The function behind a value of `CrystalformerConfig.kernel`.

    "auto" takes the fused kernel of a device where there is one for the tensors at hand, and otherwise the
    reference, which alone can differentiate positions and lattices. All have the signature of
    `crystalformer.model.kernels.reference.attend`.

    Raises:
        ValueError: the name is unknown, or its kernel needs a package or a device that is not there.
    """
    if name == "reference":
        return reference.attend
    if name == "cpu":
        return _cpu()
    if name == "gpu":
        return _gpu()
    if name != "auto":
        raise ValueError(f"kernel: expected 'auto', 'reference', 'cpu' or 'gpu', got {name!r}")
    kernels = {"cpu": _cpu, "gpu": _gpu}
    devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    fused = {device: kernels[kernel]() for device in devices if (kernel := fused_kernel(device))}
    if not fused:
        return reference.attend

    def attend(q: Tensor, k: Tensor, v: Tensor, a: Tensor, images: ImageList) -> tuple[Tensor, Tensor | None]:
        if q.dtype in FLOATS and q.device.type in fused and not images.distance.requires_grad:
            return fused[q.device.type](q, k, v, a, images)
        return reference.attend(q, k, v, a, images)

    return attend


def fused_kernel(device: str) -> str | None:
    """The fused kernel that "auto" takes on a type of device, "cpu" or "cuda"; None where it has none."""
    kernel, package = {"cpu": ("cpu", "numba"), "cuda": ("gpu", "triton")}.get(device, (None, ""))
    return kernel if kernel and find_spec(package) is not None else None


def triton_interprets() -> bool:
    """Whether Triton was told to run its functions on the CPU, as tests do."""
    return os.environ.get("TRITON_INTERPRET") == "1"


# Imported when asked for: Numba takes half a second to load, and not everybody has Triton.


def _cpu() -> Attend:
    if find_spec("numba") is None:
        raise ValueError("kernel: expected an installed package numba for 'cpu', found none")
    from crystalformer.model.kernels import cpu

    return cpu.attend


def _gpu() -> Attend:
    if find_spec("triton") is None:
        raise ValueError(
            "kernel: expected an installed package triton for 'gpu', found none; install the extra 'gpu' "
            "or use 'auto'"
        )
    if not (torch.cuda.is_available() or triton_interprets()):
        raise ValueError(
            "kernel: expected a CUDA device for 'gpu', found none; use 'auto', or set TRITON_INTERPRET=1 to "
            "run it on a CPU for a test"
        )
    from crystalformer.model.kernels import gpu

    return gpu.attend
