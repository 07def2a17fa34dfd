"""What was searched of each model, as search.json has it, and the values that trials had of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from reports.run_folder import RunFolder
from suite.space.conditions import Conditions, active_names
from suite.space.domains import Choice, Domain, Float, Integer
from suite.space.scalars import Scalar


@dataclass(frozen=True)
class Branch:
    """One model of a search and its trials for one target.

    Attributes:
        model, label: key and name of the model.
        unit: of the errors.
        domains: what is searched of it; of a record that does not say, nothing.
        conditions: of parameters that exist only for some values of others.
        trials: its rows of trials.parquet, without the columns of other models.
    """

    model: str
    label: str
    unit: str | None
    domains: Mapping[str, Domain]
    conditions: Conditions
    trials: pd.DataFrame

    @cached_property
    def complete(self) -> pd.DataFrame:
        """The trials that were trained for all epochs."""
        return self.trials[(self.trials["state"] == "complete") & self.trials["val_mae"].notna()]

    def values(self, trials: pd.DataFrame) -> Iterator[dict[str, Scalar]]:
        """Per trial: the values of the parameters that it had, each of the type that was searched."""
        names = [name for name in self.domains if f"{self.model}/{name}" in trials.columns]
        stored = trials[[f"{self.model}/{name}" for name in names]].to_numpy(dtype=object)
        for row in stored:
            values = {name: restored(cell, self.domains[name]) for name, cell in zip(names, row, strict=True)}
            active = active_names(self.domains, self.conditions, values)
            yield {
                name: value
                for name, value in values.items()
                if name in active and (value is not None or self._may_be_none(name))
            }

    def _may_be_none(self, name: str) -> bool:
        domain = self.domains[name]
        return isinstance(domain, Choice) and None in domain.values


def branches(folder: RunFolder, target: str) -> list[Branch]:
    """The models of a search that have a trial for the target, in the search's order."""
    space = (folder.search.get("space") or {}).get("models") or {}
    trials = folder.trials[folder.trials["target"] == target]
    by_model = dict(iter(trials.groupby("model", sort=False)))
    return [
        Branch(
            model=model,
            label=str(entry["label"]),
            unit=folder.search["dataset"]["targets"].get(target),
            domains={
                name: domain(plain) for name, plain in ((space.get(model) or {}).get("domains") or {}).items()
            },
            conditions=(space.get(model) or {}).get("conditions") or {},
            trials=_own_columns(by_model[model], model),
        )
        for model, entry in folder.search["models"].items()
        if model in by_model
    ]


def _own_columns(trials: pd.DataFrame, model: str) -> pd.DataFrame:
    return trials[[name for name in trials.columns if "/" not in name or name.startswith(f"{model}/")]]


def domain(plain: Mapping[str, Any]) -> Domain:
    """The domain that `Domain.plain` gave."""
    if "choices" in plain:
        return Choice(tuple(plain["choices"]))
    log, step = bool(plain.get("log", False)), plain.get("step")
    if "int" in plain:
        low, high = plain["int"]
        return Integer(low, high, step=1 if step is None else step, log=log)
    low, high = plain["float"]
    return Float(low, high, step=step, log=log)


def restored(stored: Any, domain: Domain) -> Scalar:
    """The value that a cell of trials.parquet stands for: a column with gaps has turned whole numbers into
    floats, one of several types is text. None where the cell is empty or holds no value of the domain.
    """
    if stored is None or stored != stored:
        return None
    if isinstance(domain, Choice):
        same = (choice for choice in domain.values if choice is not None and _equal(stored, choice))
        return next(same, None)
    try:
        return round(float(stored)) if isinstance(domain, Integer) else float(stored)
    except ValueError:
        return None


def _equal(stored: Any, choice: Scalar) -> bool:
    if isinstance(choice, bool):
        return bool(stored == choice) or stored == str(choice)
    return bool(stored == choice) or str(stored) == str(choice)


def rungs(folder: RunFolder) -> list[int]:
    """The epochs after which trials were compared and stopped, from the search's record: those of `asha` and
    `hyperband`; where others stopped, none.
    """
    space = folder.search.get("space") or {}
    search, epochs = space.get("search") or {}, (space.get("budget") or {}).get("epochs")
    if search.get("scheduler") not in ("asha", "hyperband") or not epochs:
        return []
    found, epoch = [], int(search["grace_epochs"])
    while epoch < epochs:
        found.append(epoch)
        epoch *= int(search["reduction"])
    return found
