"""Speed of building image lists: `python -m benchmarks.lists [--json] [--crystals N] [--repeat N]`.

Random cells of 20 atoms. `list` is the enumeration of all images within 6.93 Å alone, on one core; `store` is
what a data set's first use costs, in one thread: positions from the store, enumeration, and the files that
later runs map. `adaptive` lists the boxes of the published rule at the default r0, which is done anew for
each batch, here of 128 crystals. CPU seconds of the whole process are counted, so other work on the machine
disturbs little; medians are given.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from benchmarks.batch import RADIUS
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.crystal import Crystal
from crystalformer.data.image_lists import open_image_lists
from crystalformer.data.image_search import FoundImages
from crystalformer.data.radius_images import radius_images
from crystalformer.data.store_writer import write_store
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.images import ImageList, list_images

ATOMS = 20  # per cell
BATCH = 128
EDGE = 7.4  # Å, about; 20 Å^3 per atom


def cells_of_20_atoms(crystals: int) -> tuple[np.ndarray, np.ndarray]:
    """Fractional coordinates (crystals, 20, 3) and lattices (crystals, 3, 3) in Å, from a fixed seed."""
    rng = np.random.default_rng(0)
    lattices = EDGE * np.eye(3) + rng.uniform(-1, 1, (crystals, 3, 3))
    return rng.random((crystals, ATOMS, 3)), lattices


def list_all(frac_coords: np.ndarray, lattices: np.ndarray) -> FoundImages:
    """The images of these cells, as they are made for a store."""
    positions = np.einsum("cni,cij->cnj", frac_coords, lattices).reshape(-1, 3)
    return radius_images(positions, lattices, np.full(len(lattices), ATOMS), RADIUS, dtype=np.float32)


def batches_of(frac_coords: np.ndarray, lattices: np.ndarray) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Positions, lattices and sizes of these cells, as models get them."""
    positions = np.einsum("cni,cij->cnj", frac_coords, lattices)
    return [
        (
            torch.from_numpy(positions[first : first + BATCH]).float().flatten(0, 1),
            torch.from_numpy(lattices[first : first + BATCH]).float(),
            torch.full((len(lattices[first : first + BATCH]),), ATOMS),
        )
        for first in range(0, len(lattices), BATCH)
    ]


def list_boxes(positions: Tensor, lattices: Tensor, sizes: Tensor) -> ImageList:
    """The images of a batch in the boxes of the published rule."""
    return list_images(positions, lattices, sizes, "adaptive", CrystalformerConfig().sigma_max, cells=False)


def measure(crystals: int, repeat: int) -> dict[str, object]:
    """Crystals per CPU second, and what was measured."""
    frac_coords, lattices = cells_of_20_atoms(crystals)
    images = list_all(frac_coords, lattices)  # compiles
    list_s = median(_cpu_seconds(lambda: list_all(frac_coords, lattices)) for _ in range(repeat))
    rows = zip(lattices, frac_coords, strict=True)
    numbers = np.full(ATOMS, 8)
    cells = [Crystal(f"c-{i}", lattice, frac, numbers) for i, (lattice, frac) in enumerate(rows)]
    with TemporaryDirectory() as folder:
        store = ArrayStore.open(write_store(folder, "lists", cells, {}, {}))
        caches = iter(Path(folder) / f"cache-{i}" for i in range(repeat))
        store_s = median(
            _cpu_seconds(lambda: open_image_lists(store, next(caches), RADIUS, workers=1))
            for _ in range(repeat)
        )
    batches = batches_of(frac_coords, lattices)
    boxes_s = median(_cpu_seconds(lambda: [list_boxes(*batch) for batch in batches]) for _ in range(repeat))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)
    return {
        "crystals": crystals,
        "atoms": crystals * ATOMS,
        "images": len(images.keys),
        "radius": RADIUS,
        "list_cpu_s": list_s,
        "list_crystals_per_cpu_s": crystals / list_s,
        "store_cpu_s": store_s,
        "store_crystals_per_cpu_s": crystals / store_s,
        "adaptive_images": sum(len(list_boxes(*batch).key) for batch in batches),
        "adaptive_cpu_s": boxes_s,
        "adaptive_crystals_per_cpu_s": crystals / boxes_s,
        "peak_mb": round(peak, 1),
    }


def _cpu_seconds(function: Callable[[], object]) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lists", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--crystals", type=int, default=4000, help="cells in the data set")
    parser.add_argument("--repeat", type=int, default=5, help="times that they are listed")
    options = parser.parse_args(arguments)
    result = measure(options.crystals, options.repeat)
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:26} {value}")


if __name__ == "__main__":
    main()
