"""All tables of a report, each recomputed by its module."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reports.check import Check
from reports.recompute.ablation import check_ablation
from reports.recompute.groups import check_groups, check_pairs, check_worst
from reports.recompute.mae import check_mae_table
from reports.recompute.stored import Stored
from reports.run_folder import ReportError

TABLES: dict[str, Callable[[Stored, pd.DataFrame], list[Check]]] = {
    "mae_table.csv": check_mae_table,
    "errors_by_group.csv": check_groups,
    "worst_crystals.csv": check_worst,
    "paired_differences.csv": check_pairs,
    "ablation.csv": check_ablation,
}
# Names and texts: an empty cell is not a number there, and "1" is not one either.
TEXTS = ("id", "group", "value", "reference", "differences", "unit", "formula", "source")


@dataclass(frozen=True)
class Recomputed:
    """One table: its rows, and the check of each of their measured cells."""

    name: str
    rows: int
    checks: tuple[Check, ...]


def recompute(runs: Sequence[Path], report: Path) -> list[Recomputed]:
    """Every measured cell of the tables in the folder `report`, which was built from `runs`.

    Raises:
        ReportError: a run folder or a table cannot be read, there is no table, or a table names runs that the
            folders do not have.
    """
    stored = Stored.read(runs)
    found = []
    for name, check in TABLES.items():
        if (report / name).is_file():
            table = _read(report / name)
            try:
                found.append(Recomputed(name, len(table), tuple(check(stored, table))))
            except (KeyError, ValueError) as error:
                if isinstance(error, ReportError):
                    raise
                raise ReportError(
                    f"{report / name}: expected a table of a report of these runs, got one that cannot be "
                    f"recomputed from them ({type(error).__name__}: {error})"
                ) from error
    if not found:
        raise ReportError(
            f"{report}: expected tables such as mae_table.csv, got none; build the report first"
        )
    return found


def _read(path: Path) -> pd.DataFrame:
    try:
        header = pd.read_csv(path, nrows=0).columns
        table = pd.read_csv(path, dtype=dict.fromkeys((n for n in TEXTS if n in header), "str"))
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: unreadable: {error}") from error
    return table
