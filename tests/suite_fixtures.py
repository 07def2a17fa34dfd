"""A small data set of real crystals and small search spaces over it."""

import json
from pathlib import Path

from crystalformer.data.catalog import DATASETS
from crystalformer.sources.bundled import read_bundled

SMALL_MODELS = {
    "crystalformer": {
        "num_layers": {"int": [1, 2]},
        "width": 16,
        "heads": 2,
        "ff_width": 32,
        "value_basis": 8,
        "lattice_range": {"choices": [1, "adaptive"]},
        "swa_epochs": {"choices": [0, 1]},
    },
    "cgcnn": {"node_width": 8, "hidden_width": 16},
}


def write_small_table(path: Path, crystals: int = 40, max_atoms: int = 4) -> Path:
    """JSON lines of the first bundled elastic crystals with few atoms; target `log10_K_VRH`."""
    chosen = [c for c in read_bundled(DATASETS["mp-elastic-2015"]) if len(c.numbers) <= max_atoms][:crystals]
    lines = [
        json.dumps(
            {
                "id": c.id,
                "species": c.numbers.tolist(),
                "lattice": c.lattice.tolist(),
                "frac": c.frac_coords.tolist(),
                "targets": {"log10_K_VRH": c.targets["log10_K_VRH"]},
            }
        )
        for c in chosen
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def small_space(folder: Path, **changes: object) -> Path:
    """A search space over the small table; `changes` replace whole blocks."""
    table = folder / "small.jsonl"
    if not table.exists():
        write_small_table(table)
    blocks = {
        "name": "small",
        "data": {"dataset": {"path": str(table)}, "target": "log10_K_VRH", "unit": "log10(GPa)"},
        "budget": {"trials": 6, "epochs": 4},
        "search": {"grace_epochs": 1, "reduction": 2, "concurrent": 1},  # a worker takes seconds to start
        "train": {"batch_size": 8, "lr": {"float": [1.0e-4, 2.0e-3], "log": True}},
        "models": SMALL_MODELS,
        "final": {"seeds": [0, 1]},
    }
    path = folder / "space.yaml"
    path.write_text(json.dumps(blocks | changes, indent=1))  # JSON is YAML
    return path
