"""The tables of the model report once more, from predictions and the description of the crystals."""

import numpy as np
import pandas as pd

from reports.check import Check
from reports.recompute.statistics import p_of_zero, step_down, student
from reports.recompute.stored import Row, Stored, cells, over_seeds

# Crystal systems by the numbers of their space groups (International Tables A).
SYSTEMS = {
    "triclinic": (1, 2), "monoclinic": (3, 15), "orthorhombic": (16, 74), "tetragonal": (75, 142),
    "trigonal": (143, 167), "hexagonal": (168, 194), "cubic": (195, 230),
}  # fmt: skip


def check_groups(stored: Stored, table: pd.DataFrame) -> list[Check]:
    """A model's error in each group, and how many crystals that is."""
    checks = []
    for key, rows in table.groupby(["experiment", "model", "target", "split"], sort=False):
        experiment, model, target, split = map(str, key)
        errors = over_seeds(stored.chosen(experiment, model, target), split)
        last = _last_range(rows)
        for row in rows.to_dict("records"):
            inside = errors[_members(stored, [experiment], errors, row, last)]["error"].to_numpy()
            mean, low, high = student(inside)
            where = f"errors_by_group.csv: {model}, {target}, {row['grouping']} {row['group']}"
            found = {"crystals": len(inside), "mae": mean, "low": low, "high": high}
            checks += cells(where, row, found)
    return checks


def _last_range(rows: pd.DataFrame) -> float:
    """The upper end of the last range of a target, which alone belongs to it."""
    return float(rows.loc[rows["grouping"] == "target range", "to"].max())


def _members(
    stored: Stored, experiments: list[str], errors: pd.DataFrame, row: Row, last: float
) -> np.ndarray:
    """Which crystals of `errors` are in the group of a row, (crystals,) bool."""
    grouping, name = str(row["grouping"]), str(row["group"])
    if grouping == "all":
        return np.ones(len(errors), dtype=bool)
    if grouping == "target range":
        truth = errors["y_true"].to_numpy()
        above = (truth >= row["from"]) & ((truth < row["to"]) | ((truth == last) & (row["to"] == last)))
        return np.asarray(above)
    crystals = stored.crystals(experiments).loc[errors.index]
    if grouping == "number of atoms":
        return np.array([row["from"] <= atoms <= row["to"] for atoms in crystals["atoms"]])
    if grouping == "element":
        return np.array([name in elements.split(" ") for elements in crystals["elements"]])
    numbers = [None if pd.isna(number) else int(number) for number in crystals["space_group"]]
    if grouping == "space group":
        return np.array([number == int(name) for number in numbers])
    if name == "not found":
        return np.array([number is None for number in numbers])
    first, end = SYSTEMS[name]
    return np.array([number is not None and first <= number <= end for number in numbers])


def check_worst(stored: Stored, table: pd.DataFrame) -> list[Check]:
    """The rows are the crystals with the largest errors, in order, with the values of the predictions."""
    checks = []
    for key, rows in table.groupby(["experiment", "model", "target", "split"], sort=False):
        experiment, model, target, split = map(str, key)
        finals = stored.chosen(experiment, model, target)
        errors = over_seeds(finals, split)
        ordered = sorted(errors.index, key=lambda id_: (-errors.loc[id_, "error"], id_))[: len(rows)]
        where = f"worst_crystals.csv: {model}, {target}"
        checks.append(Check(f"{where}, the crystals in order", list(rows["id"]), ordered))
        for row in rows.to_dict("records"):
            mine = errors.loc[row["id"]]
            values = {name: mine[name] for name in ("y_true", "y_pred", "error")}
            seeds = sum(row["id"] in set(final.predictions["id"]) for final in finals)
            values |= {"sd": mine["spread"], "n_seeds": seeds}
            checks += cells(f"{where}, {row['id']}", row, values | _described(stored, experiment, row))
    return checks


def _described(stored: Stored, experiment: str, row: Row) -> dict[str, object]:
    if pd.isna(row["formula"]):
        return {}
    crystal = stored.crystals([experiment]).loc[row["id"]]
    return {name: crystal[name] for name in ("formula", "atoms", "space_group")}


def check_pairs(stored: Stored, table: pd.DataFrame) -> list[Check]:
    """Differences of two models per crystal, in groups, with intervals and corrected p."""
    checks = []
    names = ["experiment", "model", "other_experiment", "other_model", "target", "split"]
    for key, rows in table.groupby(names, sort=False):
        experiment, model, other_experiment, other_model, target, split = map(str, key)
        first = over_seeds(stored.chosen(experiment, model, target), split)
        second = over_seeds(stored.chosen(other_experiment, other_model, target), split)
        both = first.index.intersection(second.index)
        first, difference = first.loc[both], (second["error"] - first["error"]).loc[both]
        last, folders = _last_range(rows), [experiment, other_experiment]
        records = rows.to_dict("records")
        inside = [
            difference[_members(stored, folders, first, row, last)].to_numpy(np.float64) for row in records
        ]
        grouped = [i for i, row in enumerate(records) if row["grouping"] != "all"]
        p_values = [p_of_zero(values) for values in inside]
        for i, p in zip(grouped, step_down([p_values[i] for i in grouped]), strict=True):
            p_values[i] = p
        for row, values, p in zip(records, inside, p_values, strict=True):
            mean, low, high = student(values)
            where = f"paired_differences.csv: {other_model} minus {model}, {row['grouping']} {row['group']}"
            found = {"crystals": len(values), "difference": mean, "low": low, "high": high, "p_holm": p}
            checks += cells(where, row, found)
    return checks
