"""Speed of preparing a data set: `python -m benchmarks.convert [--json] [--crystals N] [--workers N]`.

CIF texts of the bundled crystals in a CSV file are converted twice: as given, and to primitive standard
cells. Crystals per second and core are told beside what pymatgen alone does on the same crystals in the same
run, in one process: parse a CIF, standardise a structure. Seconds are those of the CPU, of all processes
together, so other work on the machine disturbs less than by the clock; the start of processes is in them.
Memory is the peak of the main process while it converts one and four times so many crystals, and the store is
opened at both sizes.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.catalog import DATASETS
from crystalformer.data.cell_names import AS_GIVEN, PRIMITIVE
from crystalformer.data.crystal import Crystal
from crystalformer.sources.bundled import read_bundled
from crystalformer.sources.sites import structure_of

ALONE = 200  # crystals that pymatgen is timed with
SIZES = (1, 4)  # multiples of the crystals, for memory and opening

CONVERT = """
import json, os, resource, sys, time
from crystalformer.sources.convert import convert
started = time.perf_counter()
store = convert(sys.argv[1], sys.argv[2], cell=sys.argv[3], workers=int(sys.argv[4]) or None).store
wall = time.perf_counter() - started
own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
cpu = sum(use.ru_utime + use.ru_stime for use in (own, children))
peak = own.ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)
print(json.dumps({"store": str(store.path), "wall_s": wall, "cpu_s": cpu, "peak_mb": peak}))
"""


def write_cifs(path: Path, crystals: Sequence[Crystal], count: int) -> list[str]:
    """A CSV file of so many CIF texts, the crystals over and over; returns the different texts."""
    from pymatgen.io.cif import CifWriter

    texts = [str(CifWriter(structure_of(crystal))) for crystal in crystals[:count]]
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "cif", "y"])
        rows.writerows((f"c-{i}", texts[i % len(texts)], i) for i in range(count))
    return texts


def convert(table: Path, root: Path, cell: str, workers: int) -> dict[str, Any]:
    """What a conversion in a process of its own took."""
    command = [sys.executable, "-c", CONVERT, str(table), str(root), cell, str(workers)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def pymatgen_alone(texts: Sequence[str]) -> tuple[float, float]:
    """Crystals per CPU second that pymatgen parses and, once parsed, standardises in this process."""
    from pymatgen.core import Structure
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structures = [Structure.from_str(text, fmt="cif", primitive=False) for text in texts]  # warm
        parsed = _rate(lambda text: Structure.from_str(text, fmt="cif", primitive=False), texts)
        made = _rate(lambda s: SpacegroupAnalyzer(s).get_primitive_standard_structure(), structures)
    return parsed, made


def measure(crystals: int, workers: int) -> dict[str, Any]:
    """All figures; see the module."""
    bundled = read_bundled(DATASETS["mp-elastic-2015"])
    result: dict[str, Any] = {"crystals": crystals}
    with TemporaryDirectory() as folder:
        place = Path(folder)
        texts = write_cifs(place / "one.csv", bundled, crystals)
        parsed, standardised = pymatgen_alone(texts[:ALONE])
        for cell, alone in ((AS_GIVEN, parsed), (PRIMITIVE, 1 / (1 / parsed + 1 / standardised))):
            took = convert(place / "one.csv", place / cell, cell, workers)
            rate = crystals / took["cpu_s"]
            result[cell] = {
                "crystals_per_cpu_s": round(rate, 1),
                "pymatgen_alone": round(alone, 1),
                "ratio": round(rate / alone, 3),
                "wall_s": round(took["wall_s"], 2),
            }
        for size in SIZES:
            write_cifs(place / f"{size}.csv", bundled, size * crystals)
            took = convert(place / f"{size}.csv", place / f"size-{size}", AS_GIVEN, workers)
            result[f"{size * crystals}"] = {
                "peak_mb": round(took["peak_mb"], 1),
                "open_ms": round(1000 * _open_s(Path(took["store"]), verify=False), 2),
                "open_and_verify_ms": round(1000 * _open_s(Path(took["store"]), verify=True), 2),
            }
    return result


def _open_s(path: Path, verify: bool) -> float:
    times = []
    for _ in range(5):
        started = time.perf_counter()
        ArrayStore.open(path, verify=verify)
        times.append(time.perf_counter() - started)
    return median(times)


def _rate(function: Callable[[Any], object], values: Sequence[Any]) -> float:
    started = time.process_time()
    for value in values:
        function(value)
    return len(values) / (time.process_time() - started)


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.convert", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--crystals", type=int, default=2000, help="rows of the CSV file")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: as many as cores)")
    options = parser.parse_args(arguments)
    result = measure(options.crystals, options.workers)
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:20} {value}")


if __name__ == "__main__":
    main()
