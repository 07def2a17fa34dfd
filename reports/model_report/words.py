"""Where a model errs, in sentences: groups with the highest and lowest error, the weight of the worst."""

from collections.abc import Sequence

from reports.ablation.terms import signed
from reports.comparison import ALPHA
from reports.model_report.group_errors import GroupError
from reports.model_report.groups import ATOMS, ELEMENT, SYSTEM, TARGET
from reports.model_report.pairs import GroupDifference, Pair
from reports.model_report.per_crystal import CrystalErrors, TaskErrors
from reports.model_report.tables import worst
from reports.rounding import p_value, significant

FEW = 10  # crystals; smaller groups are in no sentence
MOST_NAMED = 4
SPLITS = {"val": "validation", "test": "test"}
WORDS = {
    TARGET: "Of the ranges of the target",
    ATOMS: "Of the sizes of the cell",
    SYSTEM: "Of the crystal systems",
    ELEMENT: "Of the elements",
}


def sentences(errors: TaskErrors, model: CrystalErrors, found: Sequence[GroupError]) -> tuple[str, ...]:
    """What stands out in one model's errors."""
    said = [text for grouping in WORDS if (text := _extremes(model, found, grouping)) is not None]
    return (*said, _weight_of_worst(errors, model))


def _extremes(model: CrystalErrors, found: Sequence[GroupError], grouping: str) -> str | None:
    mine = [
        each
        for each in found
        if each.model is model and each.group.grouping == grouping and each.crystals >= FEW
    ]
    if len(mine) < 2:
        return None
    low, high = min(mine, key=lambda each: each.mae), max(mine, key=lambda each: each.mae)
    return (
        f"{WORDS[grouping]} with at least {FEW} crystals, {high.group.name} has the highest error "
        f"({significant(high.mae)}, {high.crystals:,} crystals) and {low.group.name} the lowest "
        f"({significant(low.mae)}, {low.crystals:,} crystals)."
    )


def _weight_of_worst(errors: TaskErrors, model: CrystalErrors) -> str:
    values, table = worst(model)["error"], model.table["error"]
    share = 100 * values.sum() / table.sum() if table.sum() > 0 else 0.0
    unit = f" {errors.unit}" if errors.unit else ""
    bias = (
        f"On average its predictions are off by {signed(float(model.residual.mean()))}{unit}, "
        "predicted minus calculated."
    )
    if len(values) == len(table):
        return bias
    seen = f"{len(table):,} {SPLITS[errors.split]} crystals"
    return (
        f"The {len(values)} worst of {seen} hold {significant(share, 2)} % of the sum of all errors. {bias}"
    )


def absent(errors: TaskErrors, model: CrystalErrors) -> str:
    """How many crystals of those that other models predicted this one is without; nothing where none."""
    missing = len(errors.crystals) - len(model.table)
    return f"; {missing:,} of {len(errors.crystals):,} crystals are not predicted" if missing else ""


def description_note(errors: TaskErrors) -> str:
    """What the groups are made from, or why there are few of them."""
    if not errors.described:
        return (
            "The run folder does not describe its crystals (crystals.parquet), so formulas, elements, sizes "
            "and symmetry are not shown: the same search command, given again, writes that file."
        )
    missing = int(errors.crystals["space_group"].isna().sum())
    failed = f"; none was found for {missing:,} of {len(errors.crystals):,} crystals" if missing else ""
    return (
        "Numbers of atoms are those of the cell in the data set. Space groups by spglib, with a tolerance of "
        f"{errors.tolerance:g} Å{failed}."
    )


def pair_sentences(pair: Pair, unit: str | None) -> tuple[str, ...]:
    """What differs between two models, and where their errors do."""
    verdict = "supported" if pair.p < ALPHA else "not supported"
    said = [
        f"Over the {len(pair.table):,} crystals that both predicted, the error of {pair.second.candidate} "
        f"minus that of {pair.first.candidate} is {signed(pair.mean)}{f' {unit}' if unit else ''} (95 % "
        f"interval {signed(pair.low)} to {signed(pair.high)}; paired test: {p_value(pair.p)}, a difference "
        f"is {verdict})."
    ]
    if pair.settings:
        said.append(f"Settings that differ: {', '.join(pair.settings)}.")
    supported = sorted((each for each in pair.groups if each.shown), key=lambda each: -abs(each.mean))
    if supported:
        listed = "; ".join(_named(each) for each in supported[:MOST_NAMED])
        rest = len(supported) - MOST_NAMED
        more = f"; and {rest} further groups" if rest > 0 else ""
        said.append(f"They differ for {listed}{more} (Holm-corrected over {len(pair.groups)} groups).")
    else:
        said.append(
            f"In none of {len(pair.groups)} groups is a difference supported after Holm's correction."
        )
    return tuple(said)


def _named(each: GroupDifference) -> str:
    grouping = "" if each.group.grouping == SYSTEM else f"{each.group.grouping} "
    return f"{grouping}{each.group.name} ({signed(each.mean)}, {each.crystals:,} crystals)"
