"""Cost of predictions: `python -m benchmarks.predict [--json] [--model M] [--repeat N] [--threads N]`.

| name | unit | meaning |
|---|---|---|
| `batch_ms`, `batch_cpu_ms` | ms per crystal | wall and CPU time of 256 crystals together, all networks |
| `alone_ms`, `alone_cpu_ms` | ms per crystal | the same of crystals given one by one |
| `networks` | - | targets times seeds, which every crystal goes through |
| `per_network_ms` | ms per crystal and network | `batch_ms` over `networks` |

Crystals are those of mp-elastic-2015, as `Crystal`s in memory; graphs, uncertainties and warnings
included. Medians.
"""

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

import suite
from crystalformer.data.catalog import DATASETS
from crystalformer.sources.bundled import read_bundled

CRYSTALS, ALONE = 256, 32


def measure(model: str, repeat: int, threads: int | None = None) -> dict[str, object]:
    """The figures of the module's table."""
    if threads:
        torch.set_num_threads(threads)
    predictor = suite.load(model)
    known = read_bundled(DATASETS["mp-elastic-2015"])
    crystals = [known[row] for row in np.random.default_rng(0).permutation(len(known))[:CRYSTALS]]
    predictor.predict(crystals)
    predictor.predict(crystals[0])
    together = [_timed(lambda: predictor.predict(crystals)) for _ in range(repeat)]
    alone = [
        _timed(lambda: [predictor.predict(crystal) for crystal in crystals[:ALONE]]) for _ in range(repeat)
    ]
    networks = sum(len(target.seeds) for target in predictor.targets)
    batch_ms = 1000 * median(wall for wall, _ in together) / CRYSTALS
    return {
        "model": model,
        "networks": networks,
        "batch_ms": batch_ms,
        "batch_cpu_ms": 1000 * median(cpu for _, cpu in together) / CRYSTALS,
        "per_network_ms": batch_ms / networks,
        "alone_ms": 1000 * median(wall for wall, _ in alone) / ALONE,
        "alone_cpu_ms": 1000 * median(cpu for _, cpu in alone) / ALONE,
        "threads": torch.get_num_threads(),
    }


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predict", description="Cost of predictions.")
    parser.add_argument("--model", default="mp-moduli", help="a run or a model (default: mp-moduli)")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    result = measure(options.model, options.repeat, options.threads)
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:16} {value:.3g}" if isinstance(value, float) else f"{name:16} {value}")


if __name__ == "__main__":
    main()
