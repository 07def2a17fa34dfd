"""How far the fused GPU kernel is from the plain one in float64, in value and gradient, on real crystals."""

from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.batch import RADIUS, fixed_batch
from crystalformer.layers.radial_basis import GaussianBasis
from crystalformer.model.images import ImageList, list_images, list_images_within
from crystalformer.model.kernels import reference
from crystalformer.model.kernels.dispatch import Attend

SIGMA_MAX = 1.98  # Å, of the published model
HEADS, WIDTH, BASIS, R_MAX = 8, 16, 64, 14.0
NAMES = ("O", "B", "dq", "dk", "dv", "da")
TOLERANCE = 1e-5  # of the largest number of an array


def compare(attend: Attend, device: str, small: bool) -> list[dict[str, object]]:
    """Errors in float32 for each range rule and with and without psi; `small`: for the interpreter."""
    rules: list[tuple[float | int | str, int]] = [
        (3.5 if small else RADIUS, 2 if small else 128),
        (1, 2 if small else 32),
        ("adaptive", 1 if small else 16),
    ]
    results = []
    for rule, crystals in rules:
        for size in (BASIS, 0):
            images = _images(rule, crystals, size)
            errors = _errors(attend, images, device)
            results.append(
                {
                    "range": rule,
                    "basis": size,
                    "crystals": crystals,
                    "images": len(images.key),
                    "relative_errors": errors,
                    "within_tolerance": max(errors.values()) <= TOLERANCE,
                    "same_bits_twice": _same_bits(attend, images, device),
                }
            )
    return results


def inputs(atoms: int, dtype: torch.dtype = torch.float64) -> tuple[list[Tensor], list[Tensor]]:
    """Random q, k, v, a, and gradients of O and B."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    sigma = 0.4 + 1.5 * torch.rand(atoms, HEADS, generator=generator, dtype=torch.float64)
    qkva = [normal(atoms, HEADS, WIDTH) for _ in range(3)] + [(-0.5 / sigma**2).to(dtype)]
    return qkva, [normal(atoms, HEADS, WIDTH), normal(atoms, HEADS, BASIS)]


def run(attend: Attend, images: ImageList, qkva: list[Tensor], grads: list[Tensor]) -> list[Tensor]:
    """O, B and the gradients of q, k, v and a."""
    leaves = [x.detach().requires_grad_() for x in qkva]
    outputs = [x for x in attend(*leaves, images) if x is not None]  # type: ignore[call-arg,misc]
    gradients = torch.autograd.grad(outputs, leaves, grads[: len(outputs)])
    return [*(x.detach() for x in outputs), *gradients]


def on_device(images: ImageList, device: str, dtype: torch.dtype) -> ImageList:
    """A list elsewhere, its distances in another precision."""
    reach = None if images.reach is None else images.reach.to(device, dtype)
    integers = {name: getattr(images, name).to(device) for name in ("sizes", "offsets", "key")}
    return replace(images, distance=images.distance.to(device, dtype), reach=reach, cell=None, **integers)


def _images(rule: float | int | str, crystals: int, size: int) -> ImageList:
    batch = fixed_batch()
    smallest = batch.sizes.argsort(stable=True)[:crystals] if crystals < len(batch) else None
    chosen = range(len(batch)) if smallest is None else smallest.tolist()
    ends = batch.sizes.cumsum(0)
    atoms = torch.cat([torch.arange(int(ends[c] - batch.sizes[c]), int(ends[c])) for c in chosen])
    rows = torch.tensor(list(chosen))
    where = batch.positions[atoms].double(), batch.lattices[rows].double(), batch.sizes[rows]
    basis = GaussianBasis(size, R_MAX) if size else None
    if isinstance(rule, float):
        return list_images_within(*where, rule, SIGMA_MAX, basis)
    return list_images(*where, rule, SIGMA_MAX, basis)


def _errors(attend: Attend, images: ImageList, device: str) -> dict[str, float]:
    single = on_device(images, "cpu", torch.float32)
    qkva, grads = inputs(len(images.offsets) - 1, torch.float32)
    exact = on_device(single, "cpu", torch.float64)  # the same numbers in both
    expected = run(reference.attend, exact, [x.double() for x in qkva], [x.double() for x in grads])
    found = run(
        attend,
        on_device(single, device, torch.float32),
        [x.to(device) for x in qkva],
        [x.to(device) for x in grads],
    )
    names = NAMES if images.basis is not None else [name for name in NAMES if name != "B"]
    return {
        name: float((ours.cpu().double() - theirs).abs().max() / theirs.abs().max().clamp(min=1.0))
        for name, ours, theirs in zip(names, found, expected, strict=True)
    }


def _same_bits(attend: Attend, images: ImageList, device: str) -> bool:
    moved = on_device(images, device, torch.float32)
    qkva, grads = ([x.to(device) for x in part] for part in inputs(len(images.offsets) - 1, torch.float32))
    first, second = (run(attend, moved, qkva, grads) for _ in range(2))
    return all(bool((x == y).all()) for x, y in zip(first, second, strict=True))
