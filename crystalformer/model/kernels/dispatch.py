"""Which implementation of the attention sum a model uses; decided once, when it is built."""

import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import torch
from torch import Tensor

from crystalformer.model.images import ImageList
from crystalformer.model.kernels import reference

OLDEST_TRITON = "3.6"  # earlier ones refuse matrix products of fewer than 16 rows
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
    if device == "cpu":
        return "cpu" if find_spec("numba") is not None else None
    return "gpu" if device == "cuda" and _missing_triton() is None else None


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
    if (found := _missing_triton()) is not None:
        raise ValueError(
            f"kernel: expected an installed package triton for 'gpu', {OLDEST_TRITON} or newer, found {found}"
            "; install the extra 'gpu' or use 'auto'"
        )
    if not (torch.cuda.is_available() or triton_interprets()):
        raise ValueError(
            "kernel: expected a CUDA device for 'gpu', found none; use 'auto', or set TRITON_INTERPRET=1 to "
            "run it on a CPU for a test"
        )
    from crystalformer.model.kernels import gpu

    return gpu.attend


def _missing_triton() -> str | None:
    """What is there instead of a Triton that will do: "none", or the version of an old one."""
    if find_spec("triton") is None:
        return "none"
    try:
        found = version("triton")
    except PackageNotFoundError:  # built under another name
        return None
    old = [int(part) for part in found.split(".")[:2]] < [int(part) for part in OLDEST_TRITON.split(".")]
    return found if old else None
