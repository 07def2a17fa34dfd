"""What the tables of a report were made of, straight from the run folders, and checks of single cells."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.check import Check
from reports.model_report.per_crystal import read_crystals
from reports.run_folder import FinalRun, ReportError, RunFolder, read_run_folder

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)  # known by identity, so that what is read of it can be kept
class Stored:
    """The run folders of a report, by the names that its tables give them."""

    folders: Mapping[str, RunFolder]

    @classmethod
    def read(cls, runs: Iterable[Path]) -> "Stored":
        """Reads the folders, which need not agree with themselves."""
        read = [read_run_folder(path, believe=False) for path in runs]
        names = [str(folder.search["name"]) for folder in read]
        return cls(
            {
                name if names.count(name) == 1 else str(folder.path): folder
                for name, folder in zip(names, read, strict=True)
            }
        )

    def finals(self, experiment: str, run_ids: Iterable[str]) -> list[FinalRun]:
        """The final runs of these ids, in their order; ReportError where one is missing.

        Two searches may both have a run of one id.
        """
        if experiment not in self.folders:
            raise ReportError(f"none of the run folders is that of the search {experiment}")
        found = {final.record["run_id"]: final for final in self.folders[experiment].finals}
        wanted = list(run_ids)
        if missing := [name for name in wanted if name not in found]:
            raise ReportError(f"the run folders have no final run {missing[0]}")
        return [found[name] for name in wanted]

    def chosen(self, experiment: str, model: str, target: str) -> list[FinalRun]:
        """The runs of the configuration that validation chose, by their seeds."""
        folder = self.folders[experiment]
        wanted = (model, target, 1)
        finals = [
            final
            for final in folder.finals
            if tuple(final.record[key] for key in ("model", "target", "rank")) == wanted
        ]
        return sorted(finals, key=lambda final: int(final.record["seed"]))

    def crystals(self, experiments: Iterable[str]) -> pd.DataFrame:
        """What the first of these run folders that describes its crystals says of them, by id."""
        for name in experiments:
            found = read_crystals(self.folders[name].path)
            if found is not None:
                return found
        raise ReportError("no run folder describes its crystals, so groups of them cannot be recomputed")


def of_split(final: FinalRun, split: str) -> pd.DataFrame:
    """Predictions of a split, by id: y_true, y_pred, residual (predicted minus calculated), error."""
    rows = final.predictions[final.predictions["split"] == split].set_index("id")
    residual = rows["y_pred"] - rows["y_true"]
    return rows[["y_true", "y_pred"]].assign(residual=residual, error=residual.abs())


def over_seeds(finals: Iterable[FinalRun], split: str) -> pd.DataFrame:
    """Means over the seeds of `of_split`, by id in order, with `spread`, the deviation of the predictions."""
    stacked = pd.concat([of_split(final, split) for final in finals])
    by_id = stacked.groupby(level=0)
    return by_id.mean().assign(spread=by_id["y_pred"].std(ddof=1))


def cells(where: str, row: Row, found: Mapping[str, object]) -> list[Check]:
    """A check of each column in `found` that the row has, as one of an older version may not."""
    return [
        Check(f"{where}, {name}", _plain(row[name]), _plain(value))
        for name, value in found.items()
        if name in row
    ]


def _plain(value: Any) -> Any:
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return float("nan")
    return value.item() if isinstance(value, np.generic) else value
