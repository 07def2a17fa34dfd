"""Run folders of ablations, with errors that a test chooses, for the tests of their reports."""

import json
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from final_folders import edit_json
from run_folders import RunFolderMaker

from suite.records import write_table

Point = Mapping[str, Any]
FACTORS: dict[str, list[Any]] = {  # the reference's value first
    "num_layers": [4, 1, 2],
    "lattice_range": ["radius", 1, "adaptive"],
    "norm": ["none", "pre"],
}


def points(factors: Mapping[str, list[Any]], factorial: bool) -> list[dict[str, Any]]:
    """The configurations of a design, the reference first."""
    if factorial:
        return [dict(zip(factors, values, strict=True)) for values in product(*factors.values())]
    reference = {name: values[0] for name, values in factors.items()}
    return [reference, *({**reference, name: value} for name in factors for value in factors[name][1:])]


def write_ablation(
    folder: Path,
    error: Callable[[Point, int], float],
    factors: Mapping[str, list[Any]] = FACTORS,
    seeds: tuple[int, ...] = (0, 1, 2),
    factorial: bool = False,
    raw: Callable[[Point, int], float] | None = None,
    state: Callable[[Point, int], str | None] = lambda point, seed: "complete",
    finals: bool = False,
    **maker: Any,
) -> Path:
    """Writes a run folder in which a trial's validation MAE is `error(point, seed)`.

    `raw`: that of the last step's weights, the same number by default. `state` may be None for a trial that
    never began. The table is written as a search writes it, columns of several types as text.
    """
    settings = {"name": "ablation", "errors": {"crystalformer": 0.07}, **maker}
    run = RunFolderMaker(**settings).write(folder, finals)
    first, *_ = json.loads((run / "search.json").read_text())["dataset"]["targets"]
    rows = [
        row
        for seed in seeds
        for point in points(factors, factorial)
        if (row := _row(first, point, seed, state(point, seed), error, raw)) is not None
    ]
    numbered = [row | {"number": number, "trial_id": f"t{number:04d}"} for number, row in enumerate(rows)]
    write_table(run / "trials.parquet", numbered)
    model = {
        "first": {name: values[0] for name, values in factors.items()},
        "domains": {name: {"choices": list(values)} for name, values in factors.items()},
    }
    search = {
        "sampler": "ablate",
        "design": "factorial" if factorial else "one-at-a-time",
        "seeds": list(seeds),
    }
    edit_json(run / "search.json", space={"search": search, "models": {"crystalformer": model}})
    return run


def _row(
    target: str,
    point: Point,
    seed: int,
    state: str | None,
    error: Callable[[Point, int], float],
    raw: Callable[[Point, int], float] | None,
) -> dict[str, Any] | None:
    if state is None:
        return None
    found = np.nan if state == "failed" else error(point, seed)
    return {
        "target": target,
        "model": "crystalformer",
        "recipe": "common",
        "state": state,
        "val_mae": found,
        "val_mae_raw": found if raw is None or state == "failed" else raw(point, seed),
        "epochs": 0 if state == "failed" else 20,
        "seconds": 10.0,
        "parameters": 853505,
        "ended": "loss is NaN" if state == "failed" else "trained",
        "seed": seed,
        "config": "{}",
        **{f"crystalformer/{name}": value for name, value in point.items()},
    }
