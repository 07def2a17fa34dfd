"""Several trainings of a model with the same number of crystals, each under a label of its own."""

from collections import Counter
from typing import Any

import pandas as pd

from reports.ablation.terms import term, with_unit
from reports.run_folder import RunFolder

Settings = frozenset[tuple[str, Any]]


def settings(folder: RunFolder, run_ids: str) -> Settings:
    """What the first of these final runs was trained with, but for its length and its seed."""
    first, *_ = run_ids.split()
    config = next(each.record for each in folder.finals if each.record["run_id"] == first).get("config") or {}
    found = {**(config.get("model") or {}), **(config.get("train") or {})}
    return frozenset((name, value) for name, value in found.items() if name not in ("epochs", "seed"))


def told_apart(points: pd.DataFrame) -> pd.DataFrame:
    """Gives the shorter ones of several trainings of a model at one number a label of their own, and among
    those of one length the ones with other settings than most searches of the model have.
    """
    here = points.groupby(["label", "train_crystals"])["epochs"]
    place = here.rank(method="dense", ascending=False).fillna(1)
    less = place.map(
        lambda at: "" if at == 1 else ", trained less" if at == 2 else f", trained less ({at:.0f})"
    )
    return _by_settings(points.assign(label=points["label"] + less))


def _by_settings(points: pd.DataFrame) -> pd.DataFrame:
    """A search may choose others at another size: settings are named only where two of one size differ."""
    labels = points["label"].copy()
    for (label, _), same in points.groupby(["label", "train_crystals"]):
        if same["settings"].nunique() < 2:
            continue
        common = Counter(points.loc[points["label"] == label, "settings"])
        usual = max(same["settings"], key=lambda each: common[each])  # the first of those that come as often
        for other in set(same["settings"]) - {usual}:
            rows = (points["label"] == label) & (points["settings"] == other)
            labels[rows] = ", ".join([label, *_differences(other, usual)])
    return points.assign(label=labels)


def _differences(other: Settings, usual: Settings) -> list[str]:
    """The settings that both name and that differ: `learning rate 0.001`; versions record different ones."""
    values = dict(usual)
    return [
        f"{term(name)} {with_unit(name, value)}" for name, value in sorted(other - usual) if name in values
    ]
