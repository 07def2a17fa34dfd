"""Speed of building graphs: `python -m benchmarks.graphs [--json]`.

One process lists the edges of 600 random crystals of 13 atoms at 15 Å³ each. Per rule:

| name | unit | meaning |
|---|---|---|
| `graph` | - | the rule, and who needs it |
| `edges_per_atom` | - | listed edges; for potentials: pairs |
| `crystals_per_cpu_s` | 1/s | crystals per second of CPU time, one core |
"""

import argparse
import json
import time
from collections.abc import Callable

import numpy as np

from baselines.graphs.lattice_edges import ShellsAndLattice
from baselines.graphs.lattice_shells import LatticeShells
from baselines.graphs.nearest import KNearest
from baselines.graphs.pair_potentials import PairPotentials
from baselines.graphs.radius import WithinRadius
from baselines.graphs.shells import NearestShells

CRYSTALS, ATOMS, VOLUME = 600, 13, 15.0  # Å³ per atom

RULES = {
    "12 nearest within 8 Å: CGCNN, GATGNN": KNearest(12, 8.0),
    "all within 4 Å: MEGNet": WithinRadius(4.0),
    "all within 5 Å: SchNet, M3GNet": WithinRadius(5.0),
    "12 nearest and ties: ALIGNN": NearestShells(12),
    "12 nearest, ties and lattice: Matformer": ShellsAndLattice(12),
    "25 nearest, ties and lattice vectors: ComFormer": LatticeShells(25),
}

Crystal = tuple[np.ndarray, np.ndarray, np.ndarray]  # lattice, fractional coordinates, atomic numbers


def crystals() -> list[Crystal]:
    """Random skewed cells, the same in every run."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(CRYSTALS):
        lattice = np.eye(3) + rng.uniform(-0.25, 0.25, (3, 3))
        lattice *= (VOLUME * ATOMS / abs(np.linalg.det(lattice))) ** (1 / 3)
        made.append((lattice, rng.random((ATOMS, 3)), rng.integers(1, 90, ATOMS)))
    return made


def measure() -> list[dict[str, str | float]]:
    """One row per rule, and one for the potentials of PotNet."""
    chosen = crystals()
    rows = [
        _row(name, chosen, lambda crystal, rule=rule: len(rule.edges(*crystal).centers))
        for name, rule in RULES.items()
    ]
    return [*rows, _row("potentials of all pairs: PotNet", chosen, _potentials)]


def _row(name: str, chosen: list[Crystal], build: Callable[[Crystal], int]) -> dict[str, str | float]:
    build(chosen[0])  # imports and compilation
    started = time.process_time()
    edges = sum(build(crystal) for crystal in chosen)
    seconds = time.process_time() - started
    return {
        "graph": name,
        "edges_per_atom": round(edges / (CRYSTALS * ATOMS), 1),
        "crystals_per_cpu_s": round(CRYSTALS / seconds),
    }


def _potentials(crystal: Crystal) -> int:
    lattice, frac_coords, _ = crystal
    return PairPotentials().potentials(lattice, frac_coords).size


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.graphs", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    options = parser.parse_args(arguments)
    rows = measure()
    if options.json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        print(f"{row['graph']:50} {row['edges_per_atom']:6} {row['crystals_per_cpu_s']:8}")


if __name__ == "__main__":
    main()
