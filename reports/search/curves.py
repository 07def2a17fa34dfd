"""The learning curves of a search's trials: `trials/<trial_id>/curve.csv`."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from reports.search.searched import Branch

MOST_CURVES = 60  # drawn of a model


def read_curves(run: Path, trial_ids: Iterable[str]) -> dict[str, np.ndarray]:
    """Trial id -> its validation errors (epochs,), from epoch 1 on; trials without a whole row are left out.

    A file is read up to the first row that is not whole, as a killed worker leaves one.
    """
    found = {}
    for trial_id in trial_ids:
        errors = read_curve(run / "trials" / trial_id / "curve.csv")
        if len(errors):
            found[trial_id] = errors
    return found


def read_curve(path: Path) -> np.ndarray:
    """The column val_mae; empty where there is no file or no such column."""
    try:
        header, *lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError):
        return np.empty(0)
    names = header.split(",")
    if "val_mae" not in names:
        return np.empty(0)
    place, errors = names.index("val_mae"), []
    for line in lines:
        cells = line.split(",")
        try:
            if len(cells) != len(names):
                break
            errors.append(float(cells[place]))
        except ValueError:
            break
    return np.array(errors)


def at_epoch(curves: dict[str, np.ndarray], epoch: int) -> dict[str, float]:
    """Trial id -> error after `epoch` epochs, of the trials that came so far and whose error is finite."""
    return {
        trial_id: float(errors[epoch - 1])
        for trial_id, errors in curves.items()
        if len(errors) >= epoch and np.isfinite(errors[epoch - 1])
    }


def sampled(branch: Branch, number: int = MOST_CURVES) -> pd.DataFrame:
    """Trials to draw: all, or the best complete ones (a third) and, of the others, evenly spaced ones."""
    trials = branch.trials
    if len(trials) <= number:
        return trials
    best = branch.complete.nsmallest(number // 3, "val_mae")
    others = trials.drop(best.index)
    places = np.linspace(0, len(others) - 1, number - len(best)).round().astype(int)
    return pd.concat([others.iloc[places], best])
