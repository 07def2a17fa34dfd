"""The section on how errors were measured: rules, data and splits, and every final run."""

from pathlib import Path

import pandas as pd

from crystalformer.data.catalog import DATASETS
from reports.load import Results
from reports.mae_table import MaeTable
from reports.rounding import count, significant
from reports.run_folder import RunFolder
from reports.sections import Block, Facts, Folded, Grid, Heading, Paragraph, Section

RULES = (
    "Configurations are selected by validation error of the weights kept; trials never see the test "
    "crystals. The best configuration of each model is then retrained from scratch with each seed, and the "
    "test split is read once per final run. Targets are scaled with training statistics only, and every "
    "error is given in the target's unit. The errors in this report were recomputed from the stored "
    "predictions and agree with those that training recorded."
)


def protocol_section(results: Results, table: MaeTable, figures: Path) -> Section:
    """How it was measured, on what."""
    blocks: list[Block] = [Paragraph(RULES)]
    for folder in results.folders.values():
        dataset = folder.search["dataset"]
        known = DATASETS.get(dataset["name"])
        blocks += [Heading(dataset["label"]), _facts(folder), _targets(folder)]
        blocks += [Paragraph(f"{known.citation}; {known.license}")] if known else []
    if len(results.runs):
        summary = "All final runs: from a cell of the table to its trial"
        blocks.append(Folded(summary, (_finals(results),)))
    return Section("protocol", "Protocol", "Protocol", blocks)


def _facts(folder: RunFolder) -> Facts:
    dataset = folder.search["dataset"]
    return Facts(
        (
            ("Name", str(dataset["name"])),
            ("Crystals", count(dataset.get("crystals"))),
            ("Atoms", count(dataset.get("atoms"))),
            ("Digest", short(dataset["digest"])),
        )
    )


def short(digest: object) -> str:
    """Enough of a digest to tell two apart; search.json has it whole."""
    return str(digest)[:12]


def _targets(folder: RunFolder) -> Grid:
    dataset = folder.search["dataset"]
    rows = []
    for target in folder.targets:
        split, stats = dataset["split"][target], dataset["target_stats"].get(target) or {}
        counts = [count(split[part]) for part in ("train", "val", "test")]
        numbers = [
            significant(float(stats.get(key, "nan"))) for key in ("train_mean", "train_sd", "train_mad")
        ]
        unit = dataset["targets"].get(target) or "none stated"
        rows.append((target, unit, *counts, *numbers, str(split["rule"]), short(split["hash"])))
    header = (
        "Target", "Unit", "Train", "Val", "Test", "Train mean", "Train s.d.", "Train MAD", "Split rule",
        "Split hash",
    )  # fmt: skip
    numeric = (False, False, *[True] * 6, False, False)
    return Grid("Targets and splits", header, numeric, tuple(rows), frozenset({"Split rule"}))


def _words(value: object) -> str:
    """Text as it is, nothing for a missing value (None, NaN)."""
    return value if isinstance(value, str) else ""


def _finals(results: Results) -> Grid:
    """Every final run and split: the chain from a cell of the MAE table to the trial it was selected from."""
    header = (
        "Run id", "Target", "Seed", "Rank", "Split", "MAE", "RMSE", "R²", "MAE, last epoch's weights",
        "Weights kept", "Epochs", "Selected from trial", "with val MAE", "Peak memory (MB)",
    )  # fmt: skip
    rows = [
        (
            str(row["run_id"]),
            str(row["target"]),
            str(row["seed"]),
            str(row["rank"]),
            str(row["split"]),
            significant(row["mae"], 4),
            significant(row["rmse"], 4),
            "" if pd.isna(row["r2"]) else f"{row['r2']:.4f}",
            significant(float(row["mae_raw"]), 4),
            _words(row["kept"]),
            str(row["epochs"]),
            _words(row["trial_id"]),
            significant(row["trial_val_mae"], 4),
            count(row["peak_memory_mb"]),
        )
        for row in results.runs.to_dict("records")
    ]
    words = ("Run id", "Target", "Split", "Weights kept", "Selected from trial")
    numeric = tuple(name not in words for name in header)
    return Grid("Final runs; errors in the target's unit", header, numeric, tuple(rows))
