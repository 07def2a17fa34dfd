"""From run folders to the errors of each model over the number of training crystals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports import published
from reports.ablation.study import is_ablation
from reports.data_size.told_apart import settings, told_apart
from reports.load import side_by_side
from reports.mae_table import build
from reports.picture import slug
from reports.run_folder import ReportError, RunFolder

Key = tuple[str, str, str, str]  # data set, digest, target, hash of the test crystals


@dataclass(frozen=True)
class SizeCurve:
    """The errors of one target on the same test crystals after training on different numbers of crystals.

    `points`: a row per model (or floor) and number, with the columns `train_crystals`, `experiment`, `model`,
    `label`, `kind` (measured or floor), `mae` (mean over the seeds), `sd`, `mae_low`, `mae_high`, `n_seeds`,
    `n_expected`, `epochs`, `params`, `run_ids`; models by their error at the largest number that they were
    trained on, floors last. Where a model was trained for several numbers of epochs, the fewer are curves of
    their own ("..., trained less"), and so are other settings ("..., learning rate 0.001"). `commands`: those
    that give the runs again.
    """

    dataset: str
    label: str
    target: str
    unit: str | None
    test_crystals: int
    points: pd.DataFrame
    commands: tuple[str, ...]

    @property
    def slug(self) -> str:
        """What files and anchors of it are called."""
        return slug(f"size-{self.dataset}-{self.target}")

    @property
    def sizes(self) -> list[int]:
        """The numbers of training crystals, ascending."""
        return sorted(set(self.points["train_crystals"]))

    def of(self, label: str) -> pd.DataFrame:
        """The points of one model or floor by number of training crystals."""
        return self.points[self.points["label"] == label].sort_values("train_crystals")

    def seen(self, label: str) -> tuple[int, int] | None:
        """How many training crystals a run saw, each as often as it came, at least and at most; None for a
        floor.
        """
        points = self.of(label)
        if points["epochs"].isna().any():
            return None
        seen = points["train_crystals"] * points["epochs"]
        return int(seen.min()), int(seen.max())

    @property
    def labels(self) -> list[str]:
        """Models and then floors, in the order of the rows."""
        return list(dict.fromkeys(self.points["label"]))

    def per_doubling(self, label: str) -> float:
        """By what the error is multiplied when the training crystals are doubled: the slope of the
        least-squares line through log(error) over log(number). NaN with one number, or an error of 0.
        """
        points = self.of(label)
        if points["train_crystals"].nunique() < 2 or not (points["mae"] > 0).all():
            return math.nan
        slope, _ = np.polyfit(np.log(points["train_crystals"]), np.log(points["mae"]), 1)
        return float(2.0**slope)


def grouped(folders: Sequence[RunFolder]) -> dict[Key, dict[int, list[RunFolder]]]:
    """Number of training crystals -> run folders, of each target and test set that was searched with several
    numbers; ablations are no entries of a comparison.
    """
    found: dict[Key, dict[int, list[RunFolder]]] = {}
    for folder in folders:
        dataset = folder.search["dataset"]
        for target in folder.targets if folder.finals and not is_ablation(folder) else ():
            split = dataset["split"][target]
            if "test_hash" in split:
                key = (dataset["name"], dataset["digest"], target, split["test_hash"])
                found.setdefault(key, {}).setdefault(int(split["train"]), []).append(folder)
    return {key: by_size for key, by_size in found.items() if len(by_size) > 1}


def size_curves(folders: Sequence[RunFolder]) -> list[SizeCurve]:
    """The curves of these run folders, none where no two of them differ in the number of training crystals.

    Raises:
        ReportError: a model has two errors at one number.
    """
    return [_curve(key, by_size) for key, by_size in grouped(folders).items()]


def check_all_take_part(folders: Sequence[RunFolder], curves: Sequence[SizeCurve]) -> None:
    """Raises ReportError unless each folder, by the name of its search, gave a point."""
    used = {name for curve in curves for name in curve.points["experiment"]}
    for folder in folders:
        if folder.search["name"] not in used:
            raise ReportError(
                f"{folder.path}: expected a finished search of the same target and test crystals as another "
                "one, with a different number of training crystals (data.train_crystals), got none such"
            )


def _curve(key: Key, by_size: dict[int, list[RunFolder]]) -> SizeCurve:
    name, _, target, _ = key
    literature = published.load()
    tables = []
    for size, trained in sorted(by_size.items()):
        # Runs of one table have to be validated on the same crystals.
        by_split: dict[str, list[RunFolder]] = {}
        for folder in trained:
            by_split.setdefault(folder.search["dataset"]["split"][target]["hash"], []).append(folder)
        rows = pd.concat([_rows(same, target, literature) for same in by_split.values()])
        rows = rows.assign(train_crystals=size)
        floors = rows["kind"] == "floor"  # the same in each search
        tables += [rows[~floors], rows[floors].drop_duplicates("label")]
    points = told_apart(pd.concat(tables, ignore_index=True)[[*COLUMNS, "settings"]])[COLUMNS]
    if (twice := points.duplicated(["label", "train_crystals"])).any():
        row = points[twice].iloc[0]
        raise ReportError(
            f"{row['experiment']}: expected one error of {row['label']} with {row['train_crystals']:,} "
            f"training crystals and {row['epochs']} epochs, {target}, got two; leave one of the runs out"
        )
    first = next(iter(by_size.values()))[0].search["dataset"]
    commands = [folder.search.get("command") for _, trained in sorted(by_size.items()) for folder in trained]
    return SizeCurve(
        dataset=name,
        label=str(first["label"]),
        target=target,
        unit=first["targets"].get(target) or None,
        test_crystals=int(first["split"][target]["test"]),
        points=_in_order(points),
        commands=tuple(command for command in commands if command),
    )


COLUMNS = [
    "train_crystals", "experiment", "model", "label", "kind", "mae", "sd", "mae_low", "mae_high", "n_seeds",
    "n_expected", "epochs", "params", "run_ids",
]  # fmt: skip


def _rows(folders: Sequence[RunFolder], target: str, literature: pd.DataFrame) -> pd.DataFrame:
    """The test errors of one target, with the labels of models and floors."""
    results = side_by_side(folders)
    frame = build(results, literature).frame
    rows = frame[(frame["target"] == target) & (frame["split"] == "test") & (frame["kind"] != "published")]
    runs = [(results.folders[row.experiment], row) for row in rows.itertuples()]
    return rows.assign(
        label=[_label(folder, row) for folder, row in runs],
        settings=[settings(folder, str(row.run_ids)) for folder, row in runs],
    )


def _label(folder: RunFolder, row: object) -> str:
    model, floor = row.model, row.kind == "floor"  # type: ignore[attr-defined]
    entries = folder.floors if floor else folder.search["models"]
    return f"{entries[model]['label']} (floor)" if floor else str(entries[model]["label"])


def _in_order(points: pd.DataFrame) -> pd.DataFrame:
    """Models by size reached, the largest first, then by the error there; floors behind."""
    last = points.sort_values("train_crystals").groupby("label").last()
    rank = {
        label: place
        for place, label in enumerate(
            last.assign(floor=last["kind"] == "floor", reach=-last["train_crystals"])
            .sort_values(["floor", "reach", "mae"], kind="stable")
            .index
        )
    }
    order = points.assign(rank=points["label"].map(rank)).sort_values(["rank", "train_crystals"])
    return order.drop(columns="rank").reset_index(drop=True)
