"""A run folder as a large search leaves it, without a search: for timing reports, and for their tests.

Trials are drawn at random and stopped by ASHA's rule, their errors follow a known surface: the learning rate
decides most, then the number of layers; the width and r0 do nothing at all.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.published import REGISTRY_KEYS

STARTED = datetime(2026, 1, 1, tzinfo=UTC)  # a trial every ten seconds
TARGET, UNIT = "log10_K_VRH", "log10(GPa)"
DOMAINS: dict[str, dict[str, Any]] = {
    "lr": {"float": [1e-5, 1e-1], "log": True},
    "num_layers": {"int": [1, 8]},
    "width": {"choices": [64, 128, 256]},
    "r0": {"float": [0.7, 2.8]},
    "frames": {"choices": ["none", "max", "static"]},
    "frame_weight": {"float": [0.0, 1.0]},
}
CONDITIONS = {"frame_weight": {"frames": ["max", "static"]}}
REASONS = (
    "out of memory: tried to allocate {number}.5 GiB, {number} MiB free",
    "the training loss is nan in epoch {epoch}",
    "its worker was lost more often than is retried",
)
COLUMNS = (
    "epoch", "train_mae", "val_mae", "val_mae_raw", "lr", "grad_norm", "crystals_per_s", "seconds",
    "eval_seconds",
)  # fmt: skip


@dataclass(frozen=True)
class SyntheticSearch:
    """What the folder holds; `failing` is the share of trials that fail."""

    trials: int
    models: tuple[str, ...] = REGISTRY_KEYS
    epochs: int = 50
    grace_epochs: int = 4
    reduction: int = 3
    scheduler: str = "asha"
    failing: float = 0.04
    crystals: int = 300  # of validation and of test
    seeds: tuple[int, ...] = (0, 1, 2)
    name: str = "synthetic"
    rungs: dict[tuple[str, int], list[float]] = field(default_factory=dict)  # values so far, while drawing

    def write(self, folder: Path) -> Path:
        """Writes the run folder, which must not be there yet, and returns it."""
        folder.mkdir(parents=True)
        rng = np.random.default_rng(0)
        rows = [self._trial(folder, number, rng) for number in range(self.trials)]
        pd.DataFrame(rows).to_parquet(folder / "trials.parquet", index=False)
        failures = [
            {"trial_id": row["trial_id"], "model": row["model"], "reason": row["ended"]}
            for row in rows
            if row["state"] == "failed"
        ]
        (folder / "search.json").write_text(json.dumps(self._record(failures)), encoding="utf-8")
        (folder / "space.yaml").write_text(f"name: {self.name}\n", encoding="utf-8")
        for model in self.models:
            done = [row for row in rows if row["model"] == model and row["state"] == "complete"]
            if done:
                for seed in self.seeds:
                    self._final(folder, min(done, key=lambda row: row["val_mae"]), seed)
        return folder

    def _trial(self, folder: Path, number: int, rng: np.random.Generator) -> dict[str, Any]:
        model = self.models[number % len(self.models)]
        params, trial_id = draw(rng), f"t{number:04d}"
        curve = learning_curve(params, self.models.index(model), self.epochs, rng)
        state, epochs, ended = "complete", self.epochs, f"trained for all {self.epochs} epochs"
        if rng.random() < self.failing:
            state, epochs = "failed", int(rng.integers(0, 4))
            ended = REASONS[number % len(REASONS)].format(number=rng.integers(1, 80), epoch=epochs + 1)
        elif stopped := self._stopped(model, curve):
            state, epochs = "stopped", stopped
            ended = f"ASHA: {curve[epochs - 1]:.4g} after epoch {epochs} is not among the best 1/3"
        second = 0.5 + 0.2 * self.models.index(model) + 0.3 * params["num_layers"]
        if epochs:
            _write_curve(folder / "trials" / trial_id / "curve.csv", curve[:epochs], second)
        return {
            "trial_id": trial_id,
            "number": number,
            "target": TARGET,
            "model": model,
            "recipe": "common",
            "state": state,
            "val_mae": curve[epochs - 1] if state != "failed" else np.nan,
            "val_mae_raw": 1.02 * curve[epochs - 1] if state != "failed" else np.nan,
            "epochs": epochs,
            "seconds": second * epochs,
            "parameters": 50_000 * (1 + self.models.index(model)) * params["num_layers"],
            "predict_ms_per_crystal": 0.05 * second,
            "ended": ended,
            "finished": (STARTED + timedelta(seconds=10 * number + second * epochs)).isoformat(
                timespec="milliseconds"
            ),
            "seed": number,
            "config": "{}",
            **{f"{model}/{name}": value for name, value in params.items()},
        }

    def _stopped(self, model: str, curve: np.ndarray) -> int | None:
        """The epoch at which ASHA stops it."""
        epoch = self.grace_epochs
        while epoch < self.epochs and self.scheduler == "asha":
            seen = self.rungs.setdefault((model, epoch), [])
            seen.append(curve[epoch - 1])
            if curve[epoch - 1] > np.quantile(seen, 1 / self.reduction):
                return epoch
            epoch *= self.reduction
        return None

    def _record(self, failures: list[dict[str, str]]) -> dict[str, Any]:
        split = {"rule": "a rule", "hash": "5a" * 32, "train": 8 * self.crystals}
        split |= {"val": self.crystals, "test": self.crystals}
        first = {"lr": 1e-3, "num_layers": 4, "width": 128, "r0": 1.4, "frames": "none"}
        model = {"recipe": "common", "domains": DOMAINS, "conditions": CONDITIONS, "first": first}
        search = {"sampler": "random", "scheduler": self.scheduler, "grace_epochs": self.grace_epochs}
        return {
            "name": self.name,
            "status": "finished",
            "seconds": 3600.0,
            "dataset": {
                "name": "synthetic",
                "label": "Made up",
                "digest": "d1" * 32,
                "targets": {TARGET: UNIT},
                "split": {TARGET: split},
                "target_stats": {TARGET: {"train_mean": 1.9, "train_sd": 0.4, "train_mad": 0.3}},
            },
            "models": {key: {"label": key.capitalize(), "paper": "a paper"} for key in self.models},
            "budget": {"trials": self.trials, "epochs": self.epochs},
            "final": {"top": 1, "seeds": list(self.seeds), "epochs": self.epochs},
            "space": {
                "search": search | {"reduction": self.reduction},
                "budget": {"epochs": self.epochs},
                "models": dict.fromkeys(self.models, model),
            },
            "failures": failures,
            "notes": [],
        }

    def _final(self, folder: Path, trial: dict[str, Any], seed: int) -> None:
        rng = np.random.default_rng([seed, self.models.index(trial["model"])])
        truth = np.random.default_rng(0).normal(1.9, 0.4, 2 * self.crystals)
        wrong = rng.normal(0, trial["val_mae"] * np.sqrt(np.pi / 2), len(truth))
        parts = np.repeat(["val", "test"], self.crystals)
        run = folder / "final" / f"{trial['model']}-s{seed}"
        _write_curve(run / "curve.csv", np.full(self.epochs, trial["val_mae"]), 1.0)
        pd.DataFrame(
            {
                "id": [f"c{number}" for number in range(len(truth))],
                "split": parts,
                "y_true": truth,
                "y_pred": truth + wrong,
            }
        ).to_parquet(run / "predictions.parquet", index=False)
        error = {part: (truth + wrong - truth)[parts == part] for part in ("val", "test")}
        record = {
            "run_id": run.name,
            "status": "complete",
            "model": trial["model"],
            "label": trial["model"].capitalize(),
            "recipe": "common",
            "dataset": "synthetic",
            "dataset_digest": "d1" * 32,
            "split_hash": "5a" * 32,
            "target": TARGET,
            "unit": UNIT,
            "seed": seed,
            "selected_from": {"trial_id": trial["trial_id"], "val_mae": trial["val_mae"]},
            "rank": 1,
            "parameters": trial["parameters"],
            "kept": "raw",
            "epochs": self.epochs,
            "metrics": {part: {"mae": float(np.abs(each).mean())} for part, each in error.items()},
            "train_s_per_epoch": 1.0,
            "predict_ms_per_crystal": 1.0,
        }
        (run / "run.json").write_text(json.dumps(record), encoding="utf-8")


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """Values of all searched parameters that exist."""
    params: dict[str, Any] = {}
    for name, domain in DOMAINS.items():
        if any(params[other] not in values for other, values in CONDITIONS.get(name, {}).items()):
            continue
        if "choices" in domain:
            params[name] = domain["choices"][rng.integers(len(domain["choices"]))]
        elif "int" in domain:
            params[name] = int(rng.integers(domain["int"][0], domain["int"][1] + 1))
        else:
            low, high = np.log(domain["float"]) if domain.get("log") else domain["float"]
            value = rng.uniform(low, high)
            params[name] = float(np.exp(value) if domain.get("log") else value)
    return params


def learning_curve(params: dict[str, Any], offset: int, epochs: int, rng: np.random.Generator) -> np.ndarray:
    """Validation errors (epochs,) of a trial, which fall towards what its parameters allow."""
    reachable = 0.05 + 0.003 * offset
    reachable += 0.03 * (np.log10(params["lr"]) + 3) ** 2 + 0.004 * abs(params["num_layers"] - 5)
    noise = 1 + 0.02 * rng.normal(size=epochs)
    return np.asarray(reachable * (1 + 3 * np.exp(-np.arange(1, epochs + 1) / 6)) * noise)


def _write_curve(path: Path, errors: np.ndarray, second: float) -> None:
    path.parent.mkdir(parents=True)
    lines = [",".join(COLUMNS), *_curve_rows(errors, second)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _curve_rows(errors: np.ndarray, second: float) -> Iterator[str]:
    for epoch, error in enumerate(errors.tolist(), start=1):
        yield f"{epoch},{0.8 * error!r},{error!r},{1.02 * error!r},0.001,1.0,500.0,{second!r},0.1"
