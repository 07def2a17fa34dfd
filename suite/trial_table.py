"""The trial table: one row per trial of a study, and which of them are the best."""

import json
import math
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from suite.assignment import Assignment
from suite.space.search_space import SearchSpace

IMPORTED_FROM = "imported_from"  # of a trial: the study it ran in, if not this one

STATES = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
}


def trial_row(trial: FrozenTrial, space: SearchSpace, target: str) -> dict:
    """The row of a trial in `trials.parquet`."""
    assignment, known = Assignment.read(trial.user_attrs), trial.user_attrs
    last = max(trial.intermediate_values, default=0)
    return {
        "trial_id": assignment.trial_id,
        "number": trial.number,
        "target": target,
        "model": assignment.model,
        "recipe": space.models[assignment.model].recipe_of(assignment.params),
        "state": STATES[trial.state],
        "val_mae": math.nan
        if trial.state == TrialState.FAIL
        else trial.intermediate_values.get(last, math.nan),
        "val_mae_raw": known.get("val_mae_raw", math.nan),
        "epochs": known.get("epochs", last),
        "seconds": known.get("seconds", math.nan),
        "parameters": known.get("parameters"),
        "predict_ms_per_crystal": known.get("predict_ms_per_crystal", math.nan),
        "missing": known.get("missing", 0),
        "crystals_at_once": known.get("crystals_at_once"),
        "gpus": known.get("gpus", 0.0),
        "place": known.get("place", ""),
        "ended": known.get("ended", ""),
        "seed": assignment.seed,
        "config": known.get("config", ""),
        IMPORTED_FROM: known.get(IMPORTED_FROM),
        "images_radius": known.get("images_radius", math.nan),
        "truncation_bound": known.get("truncation_bound", math.nan),
        **{f"{assignment.model}/{name}": value for name, value in assignment.params.items()},
        **_schedule(assignment),
    }


def _schedule(assignment: Assignment) -> dict[str, str]:
    """Of the member of a population: how its weights came about, which no configuration says."""
    if assignment.member is None:
        return {}
    stretches = ({"epoch": s.epoch, "by": s.by, **s.params} for s in assignment.member.lineage)
    return {"schedule": json.dumps(list(stretches))}


def ranked(rows: Sequence[dict], model: str) -> list[dict]:
    """A model's trials, best first: by epochs trained, then validation error of the weights kept.

    A trial that was stopped early only counts where no trial was trained longer, as after an interrupted
    budget; failed and running ones never do.
    """
    usable = [row for row in rows if row["model"] == model and row["state"] in ("complete", "stopped")]
    return sorted(usable, key=lambda row: (-row["epochs"], row["val_mae"], row["number"]))
