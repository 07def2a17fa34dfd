"""Why trials ended before their last epoch, in groups: reasons that differ in their numbers alone are one."""

import re
from collections.abc import Iterable

import pandas as pd

from reports.sections import Grid

# A number that stands by itself, as 0.0712, 3 or 1e-4; not one inside a name, as log10_K_VRH.
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?(?![\w])", re.IGNORECASE)
ANY = "…"


def pattern(reason: str) -> str:
    """The reason without its numbers."""
    return NUMBER.sub(ANY, " ".join(reason.split()))


def grouped(reasons: Iterable[str]) -> dict[str, list[int]]:
    """Reason -> places of the reasons like it, the most frequent first. A group whose reasons are all the
    same keeps their numbers.
    """
    places: dict[str, list[int]] = {}
    listed = list(reasons)
    for place, reason in enumerate(listed):
        places.setdefault(pattern(reason), []).append(place)
    named = {
        listed[mine[0]] if len({listed[place] for place in mine}) == 1 else key: mine
        for key, mine in places.items()
    }
    return dict(sorted(named.items(), key=lambda item: (-len(item[1]), item[0])))


def reasons_table(trials: pd.DataFrame, labels: dict[str, str]) -> Grid:
    """What became of trials that failed or were stopped: a row per state, model and reason."""
    ended = trials[trials["state"].isin(["failed", "stopped"])]
    rows = []
    for state in ("failed", "stopped"):
        mine = ended[ended["state"] == state]
        for reason, places in grouped(mine["ended"].fillna("")).items():
            members = mine.iloc[places]
            models = members["model"].value_counts()
            by_model = ", ".join(
                f"{labels.get(str(model), model)} {number:,}" for model, number in models.items()
            )
            rows.append(
                (
                    state,
                    f"{len(members):,}",
                    reason or "no reason given",
                    by_model,
                    str(members["trial_id"].iloc[0]),
                )
            )
    header = ("State", "Trials", "Reason", "Models", "First such trial")
    numeric = (False, True, False, False, False)
    caption = "Trials that did not run to the end, and why"
    return Grid(caption, header, numeric, tuple(rows), frozenset({"Reason", "Models"}))
