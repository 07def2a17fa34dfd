"""The trial table: one row per trial of a study, and which of them are the best."""

import json
import math
from collections.abc import Sequence

from suite.assignment import Assignment
from suite.space.search_space import SearchSpace
from suite.trial_record import IMPORTED_FROM, TrialRecord


def trial_row(trial: TrialRecord, space: SearchSpace, target: str) -> dict:
    """The row of a trial in `trials.parquet`; what is not known of it is NaN, None or empty."""
    assignment, known = trial.assignment, trial.result
    return {
        "trial_id": assignment.trial_id,
        "number": assignment.number,
        "target": target,
        "model": assignment.model,
        "recipe": space.models[assignment.model].recipe_of(assignment.params),
        "state": trial.state,
        "val_mae": trial.value,
        "val_mae_raw": known.get("val_mae_raw", math.nan),
        "epochs": trial.epochs,
        "seconds": known.get("seconds", math.nan),
        "parameters": known.get("parameters"),
        "predict_ms_per_crystal": known.get("predict_ms_per_crystal", math.nan),
        "missing": known.get("missing", 0),
        "crystals_at_once": known.get("crystals_at_once"),
        "gpus": trial.gpus,
        "place": known.get("place", ""),
        "ended": known.get("ended", ""),
        "finished": known.get("finished"),
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
