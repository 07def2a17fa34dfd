"""The predictions of one model of the table, a row per crystal, beside what is known of the crystals."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reports.load import Results
from reports.mae_table import MaeTable, Task
from reports.run_folder import ReportError

CRYSTALS = "crystals.parquet"
COLUMNS = ["id", "formula", "elements", "atoms", "space_group"]


@dataclass(frozen=True)
class CrystalErrors:
    """One model (or floor) of one task.

    Attributes:
        candidate, model, experiment: as in the table.
        mae: its error in the table, in the target's unit.
        table: index id; y_true, y_pred (mean over the seeds), spread (standard deviation over the seeds, NaN
            for one), error (absolute errors averaged over the seeds, as in all tables); seeds (how many).
            Crystals that the model cannot represent have no row.
    """

    candidate: str
    model: str
    experiment: str
    mae: float
    table: pd.DataFrame

    @property
    def residual(self) -> pd.Series:
        """Predicted minus calculated value, of the mean prediction."""
        return self.table["y_pred"] - self.table["y_true"]


@dataclass(frozen=True)
class TaskErrors:
    """All models of one task, best first, on one split.

    Attributes:
        task, unit, split: test, or val where the test split was not read.
        models: by their error in the table; floors are not among them.
        crystals: index id; formula, elements, atoms, space_group as in `suite.crystals`, of the crystals that
            some model predicted. Columns are empty where no run folder describes the crystals.
        tolerance: of the space groups, in Å; None without them.
    """

    task: Task
    unit: str | None
    split: str
    models: tuple[CrystalErrors, ...]
    crystals: pd.DataFrame
    tolerance: float | None

    @property
    def described(self) -> bool:
        """Whether the crystals have formulas, elements and symmetry."""
        return bool(self.crystals["formula"].notna().any())


def task_errors(results: Results, table: MaeTable, task: Task) -> TaskErrors:
    """The predictions behind the measured rows of a task."""
    rows = table.measured(task)
    split = "test" if "test" in set(rows["split"]) else "val"
    chosen = rows[rows["split"] == split].sort_values("mae", kind="stable")
    models = tuple(
        CrystalErrors(row.candidate, row.model, row.experiment, row.mae, _per_crystal(results, row))
        for row in chosen.itertuples()
    )
    crystals, tolerance = _described(results, task, models)
    unit = rows["unit"].iloc[0]
    return TaskErrors(task, unit if isinstance(unit, str) else None, split, models, crystals, tolerance)


def _per_crystal(results: Results, row: pd.Series) -> pd.DataFrame:
    table = results.predictions
    mine = table[
        (table["experiment"] == row.experiment)
        & table["run_id"].isin(row.run_ids.split())
        & (table["split"] == row.split)
    ]
    by_id = mine.assign(error=(mine["y_true"] - mine["y_pred"]).abs()).groupby("id", sort=True)
    return by_id.agg(
        y_true=("y_true", "first"),
        y_pred=("y_pred", "mean"),
        spread=("y_pred", "std"),
        error=("error", "mean"),
        seeds=("y_pred", "size"),
    )


def _described(
    results: Results, task: Task, models: tuple[CrystalErrors, ...]
) -> tuple[pd.DataFrame, float | None]:
    """What the run folders of the task say of its crystals; the folders share data set and split."""
    ids = sorted({id_ for each in models for id_ in each.table.index})
    empty = pd.DataFrame(index=pd.Index(ids, name="id"), columns=COLUMNS[1:])
    for folder in results.folders.values():
        if folder.search["dataset"]["name"] == task.dataset and task.target in folder.targets:
            found = read_crystals(folder.path)
            if found is not None and set(ids) <= set(found.index):
                return found.loc[ids], found.attrs.get("symmetry_tolerance")
    return empty.astype({"atoms": "Int32", "space_group": "Int16"}), None


def read_crystals(run: Path) -> pd.DataFrame | None:
    """The table that `suite.crystals` leaves in a run folder, by id; None where there is none, as in a folder
    of an earlier version.

    Raises:
        ReportError: it cannot be read, or is another table.
    """
    path = run / CRYSTALS
    if not path.is_file():
        return None
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: unreadable: {error}") from error
    if missing := [name for name in COLUMNS if name not in table]:
        raise ReportError(f"{path}: expected the columns {', '.join(COLUMNS)}; missing {', '.join(missing)}")
    return table.set_index("id")
