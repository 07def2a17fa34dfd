"""Which implementation of the attention sum a model uses; decided once, when it is built."""

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor

from crystalformer.model.images import ImageList
from crystalformer.model.kernels import reference

Attend = Callable[[Tensor, Tensor, Tensor, Tensor, ImageList], tuple[Tensor, Tensor | None]]


def choose_kernel(name: str) -> Attend:
    """The function behind a value of `CrystalformerConfig.kernel`.

    "auto" takes the fused kernel of a device where there is one for the tensors at hand, and otherwise the
    reference, which alone can differentiate positions and lattices. All have the signature of
    `crystalformer.model.kernels.reference.attend`.

    Raises:
        ValueError: the name is unknown, or its kernel needs a package that is not installed.
    """
    if name == "reference":
        return reference.attend
    if name not in ("auto", "cpu"):
        raise ValueError(f"kernel: expected 'auto', 'reference' or 'cpu', got {name!r}")
    if find_spec("numba") is None:
        if name == "cpu":
            raise ValueError("kernel: expected an installed package numba for 'cpu', found none")
        return reference.attend
    from crystalformer.model.kernels import cpu  # here, as Numba takes half a second to load

    if name == "cpu":
        return cpu.attend
    fused = {(torch.device("cpu").type, dtype) for dtype in cpu.FLOATS}

    def attend(q: Tensor, k: Tensor, v: Tensor, a: Tensor, images: ImageList) -> tuple[Tensor, Tensor | None]:
        if (q.device.type, q.dtype) in fused and not images.distance.requires_grad:
            return cpu.attend(q, k, v, a, images)
        return reference.attend(q, k, v, a, images)

    return attend
