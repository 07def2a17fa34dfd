"""The error by element, as a periodic table."""

import math
from collections.abc import Sequence

from reports.model_report.group_errors import GroupError
from reports.model_report.groups import ELEMENT
from reports.model_report.per_crystal import CrystalErrors, TaskErrors
from reports.render import in_unit
from reports.rounding import significant
from reports.sections import ElementCell, PeriodicTable

# Rows of the table as it is usually drawn, the lanthanides and actinides below.
ROWS = (
    "H . . . . . . . . . . . . . . . . He",
    "Li Be . . . . . . . . . . B C N O F Ne",
    "Na Mg . . . . . . . . . . Al Si P S Cl Ar",
    "K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr",
    "Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe",
    "Cs Ba . Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn",
    "Fr Ra . Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og",
    "",
    ". . La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu .",
    ". . Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr .",
)
PLACES = {
    symbol: (column, row)
    for row, line in enumerate(ROWS)
    for column, symbol in enumerate(line.split())
    if symbol != "."
}
FEW = 5  # crystals; an element of fewer does not set the scale of the colours
MOST_NAMED = 8  # elements in words


def periodic_table(
    errors: TaskErrors, model: CrystalErrors, found: Sequence[GroupError], titled: bool
) -> PeriodicTable | None:
    """The table of one model; None where the crystals are not described.

    Colours are logarithmic in the error, between elements with at least `FEW` crystals where there are two.
    """
    mine = {each.group.name: each for each in found if each.model is model and each.group.grouping == ELEMENT}
    if not mine:
        return None
    frequent = [each for each in mine.values() if each.crystals >= FEW]
    scale = frequent if len(frequent) > 1 else mine.values()
    low, high = (some(each.mae for each in scale) for some in (min, max))
    cells = tuple(
        ElementCell(
            *PLACES[symbol],
            symbol=symbol,
            share=_share(mine[symbol].mae, low, high) if symbol in mine else None,
            few=symbol in mine and mine[symbol].crystals < FEW,
            words=_words(symbol, mine.get(symbol)),
        )
        for symbol in PLACES
    )
    return PeriodicTable(
        title=f"Error by element: {model.candidate}" if titled else "",
        caption=f"{in_unit('MAE', errors.unit)} over the crystals that hold the element, which also hold "
        f"others; pale symbols: fewer than {FEW} crystals.",
        alt=_alt(errors, model, mine),
        cells=cells,
        low=significant(low),
        high=significant(high),
    )


def _share(value: float, low: float, high: float) -> int:
    """Where an error lies between the lowest and the highest, in per cent."""
    if not (value > 0 and 0 < low < high):
        return 0 if value <= low else 100
    return round(100 * min(max(math.log(value / low) / math.log(high / low), 0), 1))


def _words(symbol: str, error: GroupError | None) -> str:
    if error is None:
        return f"{symbol}: in no crystal"
    return f"{symbol}: {significant(error.mae)} over {error.crystals:,} crystals"


def _alt(errors: TaskErrors, model: CrystalErrors, mine: dict[str, GroupError]) -> str:
    ordered = sorted(
        (each for each in mine.values() if each.crystals >= FEW), key=lambda each: each.mae, reverse=True
    )
    quantity = in_unit(f"mean absolute error of {model.candidate} for {errors.task.target}", errors.unit)
    if len(ordered) < 2:
        return f"Periodic table of the {quantity}; no two elements have {FEW} crystals."
    worst, best = (
        ", ".join(f"{each.group.name} {significant(each.mae)} ({each.crystals:,} crystals)" for each in some)
        for some in (ordered[:MOST_NAMED], ordered[: -MOST_NAMED - 1 : -1])
    )
    return f"Periodic table of the {quantity}. Highest: {worst}. Lowest: {best}."
