"""The errors in groups, the worst crystals and the differences of pairs, as tables of the page and as CSV."""

from collections.abc import Iterable, Sequence

import pandas as pd

from reports.ablation.terms import signed
from reports.model_report.group_errors import GroupError
from reports.model_report.groups import SPACE_GROUP, Group, groups
from reports.model_report.pairs import Pair
from reports.model_report.per_crystal import CrystalErrors, TaskErrors
from reports.render import in_unit
from reports.rounding import between, p_value, significant
from reports.sections import Grid

WORST = 20
FEW = 5  # crystals; smaller space groups are in the CSV alone
GROUP_COLUMNS = [
    "experiment", "model", "dataset", "target", "unit", "split", "grouping", "group", "from", "to",
    "crystals", "mae", "low", "high",
]  # fmt: skip
WORST_COLUMNS = [
    "experiment", "model", "dataset", "target", "unit", "split", "rank", "id", "formula", "space_group",
    "atoms", "y_true", "y_pred", "sd", "n_seeds", "error",
]  # fmt: skip
PAIR_COLUMNS = [
    "dataset", "target", "unit", "split", "experiment", "model", "other_experiment", "other_model",
    "grouping", "group", "from", "to", "crystals", "difference", "low", "high", "p_holm",
]  # fmt: skip


def groups_grid(errors: TaskErrors, found: Sequence[GroupError], groupings: Iterable[str]) -> Grid | None:
    """A row per group, a column per model; None where there is no group of these kinds."""
    wanted = set(groupings)
    by_group: dict[Group, dict[str, GroupError]] = {}
    for each in found:
        if each.group.grouping in wanted:
            by_group.setdefault(each.group, {})[each.model.candidate] = each
    rows = []
    for group in groups(errors):  # in their order, which the best model alone may not have
        if (mine := by_group.get(group)) is None:
            continue
        crystals = max(each.crystals for each in mine.values())
        if group.grouping != SPACE_GROUP or crystals >= FEW:
            values = [mine.get(model.candidate) for model in errors.models]
            cells = ["" if each is None else significant(each.mae) for each in values]
            rows.append((group.grouping, group.name, f"{crystals:,}", *cells))
    if not rows:
        return None
    names = [model.candidate for model in errors.models]
    caption = in_unit(f"MAE of {errors.task.target} in groups of crystals", errors.unit)
    numeric = (False, False, True, *[True] * len(names))
    return Grid(caption, ("Grouping", "Group", "Crystals", *names), numeric, tuple(rows))


def worst(model: CrystalErrors) -> pd.DataFrame:
    """The crystals with the largest errors, the largest first."""
    ordered = model.table.reset_index().sort_values(["error", "id"], ascending=[False, True], kind="stable")
    return ordered.head(WORST).set_index("id")


def worst_grid(errors: TaskErrors, model: CrystalErrors) -> Grid:
    """The worst crystals of one model."""
    described = errors.described
    header = (
        "Id",
        *(("Formula", "Space group", "Atoms") if described else ()),
        in_unit("Calculated", errors.unit),
        in_unit("Predicted", errors.unit),
        "s.d. over the seeds",
        in_unit("Error", errors.unit),
    )
    rows = []
    for id_, row in worst(model).iterrows():
        crystal = errors.crystals.loc[id_]
        facts = (str(crystal["formula"]), *(_whole(crystal[name]) for name in ("space_group", "atoms")))
        numbers = (row["y_true"], row["y_pred"], row["spread"], row["error"])
        rows.append((str(id_), *(facts if described else ()), *(significant(each, 4) for each in numbers)))
    numeric = (False, *((False, True, True) if described else ()), True, True, True, True)
    return Grid(f"The {len(rows)} worst crystals of {model.candidate}", header, numeric, tuple(rows))


def _whole(value: object) -> str:
    return "" if pd.isna(value) else str(int(value))  # type: ignore[call-overload]


def pair_grid(pair: Pair, unit: str | None) -> Grid:
    """The differences of one pair, group by group."""
    rows = tuple(
        (
            each.group.grouping,
            each.group.name,
            f"{each.crystals:,}",
            signed(each.mean),
            between(each.low, each.high),
            "" if each.p != each.p else p_value(each.p).removeprefix("p ").removeprefix("= "),
        )
        for each in pair.groups
    )
    header = (
        "Grouping",
        "Group",
        "Crystals",
        in_unit("Difference of MAE", unit),
        in_unit("95 % interval", unit),
        "p (Holm)",
    )
    caption = f"{pair.second.candidate} minus {pair.first.candidate}"
    return Grid(caption, header, (False, False, True, True, True, True), rows)


def groups_csv(found: Sequence[tuple[TaskErrors, Sequence[GroupError]]]) -> str:
    """A row per model and group, unrounded."""
    rows = [
        {
            **_of_model(errors, each.model),
            **_of_group(each.group),
            "crystals": each.crystals,
            "mae": each.mae,
            "low": each.low,
            "high": each.high,
        }
        for errors, mine in found
        for each in mine
    ]
    return _csv(rows, GROUP_COLUMNS)


def worst_csv(found: Sequence[TaskErrors]) -> str:
    """The worst crystals of every model, unrounded."""
    rows = []
    for errors in found:
        for model in errors.models:
            for rank, (id_, row) in enumerate(worst(model).iterrows(), start=1):
                crystal = errors.crystals.loc[id_]
                rows.append(
                    {
                        **_of_model(errors, model),
                        "rank": rank,
                        "id": id_,
                        **{name: crystal[name] for name in ("formula", "space_group", "atoms")},
                        "y_true": row["y_true"],
                        "y_pred": row["y_pred"],
                        "sd": row["spread"],
                        "n_seeds": int(row["seeds"]),
                        "error": row["error"],
                    }
                )
    return _csv(rows, WORST_COLUMNS)


def pairs_csv(found: Sequence[tuple[TaskErrors, Sequence[Pair]]]) -> str:
    """A row per pair and group, and one of all crystals, unrounded."""
    rows = []
    for errors, mine in found:
        for pair in mine:
            shared = {
                **_of_model(errors, pair.first),
                "other_experiment": pair.second.experiment,
                "other_model": pair.second.model,
            }
            of_all = {"grouping": "all", "group": "all", "crystals": len(pair.table), "difference": pair.mean}
            rows.append(shared | of_all | {"low": pair.low, "high": pair.high, "p_holm": pair.p})
            rows += [
                shared
                | _of_group(each.group)
                | {"crystals": each.crystals, "difference": each.mean}
                | {"low": each.low, "high": each.high, "p_holm": each.p}
                for each in pair.groups
            ]
    return _csv(rows, PAIR_COLUMNS)


def _of_model(errors: TaskErrors, model: CrystalErrors) -> dict[str, object]:
    return {
        "experiment": model.experiment,
        "model": model.model,
        "dataset": errors.task.dataset,
        "target": errors.task.target,
        "unit": errors.unit,
        "split": errors.split,
    }


def _of_group(group: Group) -> dict[str, object]:
    return {"grouping": group.grouping, "group": group.name, "from": group.low, "to": group.high}


def _csv(rows: Sequence[dict[str, object]], columns: list[str]) -> str:
    return str(pd.DataFrame(rows, columns=columns).to_csv(index=False, lineterminator="\n"))
