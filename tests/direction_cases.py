"""Images of random atoms as seen from them, for the kernels of CrystalFramer."""

import torch

from crystalformer.model.frames import Directions


class Normal:
    """Normally distributed float64 tensors, one after the other, from a seed."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)


def random_directions(normal: Normal, atoms: int, images: int) -> Directions:
    """Up to so many images of each atom, ranked as they come; the first has no direction."""
    counts = torch.randint(1, images, (atoms,), generator=normal.generator)
    query = torch.arange(atoms).repeat_interleave(counts)
    unit = normal(len(query), 3)
    unit = unit / unit.norm(dim=1, keepdim=True)
    unit[first_images(query)] = 0
    return Directions(query, query, counts, unit, torch.arange(len(query)))


def first_images(query: torch.Tensor) -> torch.Tensor:
    """Whether each image is the first of its atom."""
    return query.diff(prepend=torch.tensor([-1])) != 0
