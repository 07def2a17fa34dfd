"""The chain behind one cell of the MAE table, its first half: from the printed error to the predictions.

Every link says what it is made of, and holds the comparisons that can be made there. The cell is computed
again from `predictions.parquet` alone. `origin` goes on from the configuration to the machine.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crystalformer.data.manifest import file_sha256
from reports.check import Check
from reports.recompute.mae import KINDS, check_row
from reports.recompute.stored import Stored
from reports.run_folder import FinalRun, RunFolder


@dataclass(frozen=True)
class Link:
    """One link of the chain: `lines` for people, and what was compared."""

    name: str
    lines: tuple[str, ...]
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Traced:
    """The final runs behind a cell, in order of their seeds, and the folder they lie in."""

    folder: RunFolder
    finals: tuple[FinalRun, ...]

    @property
    def first(self) -> dict[str, Any]:
        """The record of the first run; what does not depend on the seed is read there."""
        return self.finals[0].record

    def path_of(self, final: FinalRun) -> Path:
        """The folder of a final run."""
        return self.folder.path / "final" / str(final.record["run_id"])


def measured_links(traced: Traced) -> list[Link]:
    """Cell, final runs, predictions."""
    return [_cell(traced), _runs(traced), _predictions(traced)]


def recomputed(traced: Traced, split: str) -> tuple[float, float, int]:
    """Mean and standard deviation of the MAE over the seeds, from the predictions; number of seeds.

    In the target's unit; NaN for the deviation of one seed, and for the mean where the split was not
    predicted.
    """
    errors = []
    for final in traced.finals:
        rows = final.predictions[final.predictions["split"] == split]
        if len(rows):
            errors.append(np.abs(rows["y_true"].to_numpy() - rows["y_pred"].to_numpy()).mean())
    mean = float(np.mean(errors)) if errors else float("nan")
    deviation = float(np.std(errors, ddof=1)) if len(errors) > 1 else float("nan")
    return mean, deviation, len(errors)


def _cell(traced: Traced) -> Link:
    record = traced.first
    lines = [f"{record['label']}, {record['target']} on {record['dataset']}"]
    checks = []
    table = traced.folder.path / "report" / "mae_table.csv"
    rows = _measured(table) if table.is_file() else []
    stored = Stored({str(traced.folder.search["name"]): traced.folder})
    for split in ("val", "test"):
        mean, deviation, seeds = recomputed(traced, split)
        unit = f" {record['unit']}" if record["unit"] else ""
        spread = "" if np.isnan(deviation) else f" ± {deviation!r}"
        lines.append(f"{split} MAE {mean!r}{spread}{unit}, n = {seeds}, from the predictions")
        stated = [
            final.record["metrics"][split]["mae"]
            for final in traced.finals
            if split in final.record["metrics"]
        ]
        checks.append(Check(f"{split} MAE, mean of run.json", _mean(stated), mean))
        for row in _rows_of_cell(rows, traced, split):
            checks += check_row(stored, row, rows)
    return Link("Cell", tuple(lines), tuple(checks))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _measured(table: Path) -> list[dict[str, Any]]:
    rows = pd.read_csv(table, dtype={"unit": "str"})
    return list(rows[rows["kind"].isin(KINDS) & ("experiment" in rows)].to_dict("records"))


def _rows_of_cell(rows: list[dict[str, Any]], traced: Traced, split: str) -> list[dict[str, Any]]:
    """The row of the report that was made of these runs; none where it is of others, as of fewer seeds."""
    ids = " ".join(str(final.record["run_id"]) for final in traced.finals)
    return [row for row in rows if (row["split"], row["run_ids"]) == (split, ids)]


def _runs(traced: Traced) -> Link:
    lines, checks = [], []
    for final in traced.finals:
        record = final.record
        lines.append(f"seed {record['seed']}: final/{record['run_id']}, {record['epochs']} epochs")
        for split in sorted(set(final.metrics) | (set(record["metrics"]) & {"val", "test"})):
            stated, found = record["metrics"].get(split) or {}, final.metrics.get(split) or {}
            checks += [
                Check(
                    f"seed {record['seed']}, {split} {name}, run.json",
                    _number(stated, name),
                    _number(found, name),
                )
                for name in ("mae", "rmse", "r2")
            ]
    return Link("Final runs", tuple(lines), tuple(checks))


def _number(metrics: dict[str, Any], name: str) -> float:
    value = metrics.get(name)
    return float("nan") if value is None else float(value)


def _predictions(traced: Traced) -> Link:
    lines, checks = [], []
    truth: dict[str, float] = {}
    for final in traced.finals:
        record, path = final.record, traced.path_of(final) / "predictions.parquet"
        counts = final.predictions["split"].value_counts()
        digest = file_sha256(path)
        seen = f"{counts.get('val', 0)} val, {counts.get('test', 0)} test"
        lines.append(f"{path.relative_to(traced.folder.path)}: {seen}, SHA-256 {digest[:12]}")
        if stated := record.get("predictions_sha256"):
            checks.append(Check(f"seed {record['seed']}, SHA-256 of predictions.parquet", stated, digest))
        mine = dict(zip(final.predictions["id"], final.predictions["y_true"], strict=True))
        differing = sum(truth.get(crystal, value) != value for crystal, value in mine.items())
        checks.append(Check(f"seed {record['seed']}, labels that differ from other seeds", 0, differing))
        truth |= mine
    return Link("Predictions", tuple(lines), tuple(checks))
