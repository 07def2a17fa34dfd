"""Notices what would make the host wait for the device, on a machine without one.

Operations whose result the host needs, such as the value of a tensor or a shape that depends on values, are
the same on a CPU; there they cost nothing, here they are errors.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {
    "aten::_local_scalar_dense",  # item, int, float, bool, tolist of a scalar
    "aten::nonzero",
    "aten::masked_select",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::unique_consecutive",
    "aten::bincount",
    "aten::equal",
    "aten::is_nonzero",
    "aten::histc",
    "aten::lift_fresh",  # a tensor made of numbers of the host, which are copied
}


class WaitsForDevice(AssertionError):
    """An operation that makes the host wait."""


class NoWaiting(TorchDispatchMode):
    """Raises `WaitsForDevice` at the first such operation; `operations` counts the others."""

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = function._schema.name
        self.operations += 1
        if name in WAITING:
            raise WaitsForDevice(name)
        if name == "aten::repeat_interleave" and kwargs.get("output_size") is None:
            raise WaitsForDevice(f"{name} without output_size")
        if name.startswith("aten::index") and self._mask_among(args[1:]):
            raise WaitsForDevice(f"{name} with a mask")
        return function(*args, **kwargs)

    @staticmethod
    def _mask_among(arguments):
        flat = [x for part in arguments for x in (part if isinstance(part, list | tuple) else [part])]
        return any(isinstance(x, torch.Tensor) and x.dtype in (torch.bool, torch.uint8) for x in flat)
