"""The models of a search in one table: how many trials, for how long, and the best of them."""

from collections.abc import Sequence

from reports.render import in_unit
from reports.rounding import significant
from reports.search.history import best_so_far, hours_spent
from reports.search.searched import Branch
from reports.sections import Grid

STATES = ("complete", "stopped", "failed", "running")


def best_table(branches: Sequence[Branch]) -> Grid:
    """A row per model. The time until the best trial is training time of the model's trials up to its end."""
    states = [state for state in STATES if any((each.trials["state"] == state).any() for each in branches)]
    header = (
        "Model",
        "Trials",
        *(state.capitalize() for state in states),
        in_unit("Lowest val MAE", branches[0].unit),
        "In trial",
        "Training (h)",
        "Until the best (h)",
    )
    rows = []
    for branch in branches:
        counts = branch.trials["state"].value_counts()
        best = best_so_far(branch)
        found = (
            (significant(best["val_mae"].iloc[-1], 4), str(best["trial_id"].iloc[-1]))
            if len(best)
            else ("", "")
        )
        rows.append(
            (
                branch.label,
                f"{len(branch.trials):,}",
                *(f"{counts.get(state, 0):,}" for state in states),
                *found,
                significant(hours_spent(branch)),
                significant(best["hours"].iloc[-1]) if len(best) else "",
            )
        )
    numeric = (False, True, *[True] * len(states), True, False, True, True)
    return Grid("The models and their trials", header, numeric, tuple(rows))
