"""`Study`: the trials of an ablation for one model and target, with the values that its space names."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import pandas as pd

from reports.load import Results
from reports.run_folder import ReportError, RunFolder

Scalar = int | float | bool | str | None
TRIAL_COLUMNS = ("val_mae_raw", "seed")


@dataclass(frozen=True)
class Study:
    """One model and one target of an ablation.

    Attributes:
        experiment, model, label, target, unit: names as in the run folder; errors are in `unit`.
        design: one-at-a-time or factorial.
        seeds: those that each configuration is trained with.
        reference: factor -> its value in the reference configuration.
        levels: factor -> its other values, in the order of the space.
        trials: one row per trial that began: seed, state, ended, val_mae, val_mae_raw, and for each factor a
            column that holds the position of its value, 0 for the reference and then as in `levels`.
    """

    experiment: str
    model: str
    label: str
    target: str
    unit: str | None
    design: str
    seeds: tuple[int, ...]
    reference: Mapping[str, Scalar]
    levels: Mapping[str, tuple[Scalar, ...]]
    trials: pd.DataFrame

    @property
    def planned(self) -> int:
        """The number of trials that the design asks for."""
        sizes = [len(values) for values in self.levels.values()]
        points = prod(1 + size for size in sizes) if self.factorial else 1 + sum(sizes)
        return points * len(self.seeds)

    @property
    def factorial(self) -> bool:
        """Whether every combination is trained, so that effects are averaged over the other factors."""
        return self.design == "factorial"

    @property
    def complete(self) -> pd.DataFrame:
        """The trials that were trained for all their epochs; only these are compared."""
        return self.trials[(self.trials["state"] == "complete") & self.trials["val_mae"].notna()]


def is_ablation(folder: RunFolder) -> bool:
    """Whether the run folder is that of a search with the sampler ablate."""
    return bool(_search_block(folder).get("sampler") == "ablate")


def studies(results: Results) -> list[Study]:
    """The studies of all run folders that are ablations, model by model within a target.

    Raises:
        ReportError: the record lacks the design, or a trial has a value that the design does not name.
    """
    return studies_of(results.folders)


def studies_of(folders: Mapping[str, RunFolder]) -> list[Study]:
    """As `studies`, of run folders by their names."""
    return [
        _study(name, folder, target, model)
        for name, folder in folders.items()
        if is_ablation(folder)
        for target in folder.targets
        for model in folder.search["models"]
    ]


def check_all_are_ablations(results: Results) -> None:
    """Raises ReportError at the first run folder that is no ablation."""
    for folder in results.folders.values():
        if not is_ablation(folder):
            sampler = _search_block(folder).get("sampler")
            got = f"sampler: {sampler}" if sampler else "no search block in its search.json"
            raise ReportError(
                f"--ablation: {folder.path}: expected an ablation (search: {{sampler: ablate}}), got {got}; "
                "leave --ablation out for the report of a search"
            )


def _search_block(folder: RunFolder) -> Mapping[str, Any]:
    block = (folder.search.get("space") or {}).get("search")
    return block if isinstance(block, dict) else {}


def _study(experiment: str, folder: RunFolder, target: str, model: str) -> Study:
    where = folder.path / "search.json"
    try:
        space = folder.search["space"]
        design = str(space["search"]["design"])
        seeds = tuple(int(seed) for seed in space["search"]["seeds"])
        reference = dict(space["models"][model]["first"])
        domains = {name: plain["choices"] for name, plain in space["models"][model]["domains"].items()}
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(
            f"{where}: space: expected the design, the seeds, and reference and choices of each factor of "
            f"an ablation of {model}, got a record without them ({type(error).__name__}: {error})"
        ) from error
    levels = {
        name: tuple(value for value in domains[name] if not _same(value, reference[name])) for name in domains
    }
    return Study(
        experiment=experiment,
        model=model,
        label=str(folder.search["models"][model]["label"]),
        target=target,
        unit=folder.search["dataset"]["targets"].get(target),
        design=design,
        seeds=seeds,
        reference=reference,
        levels=levels,
        trials=_trials(folder, target, model, reference, levels),
    )


def _same(one: Scalar, other: Scalar) -> bool:
    """Equal and of one kind: true is no 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _trials(
    folder: RunFolder,
    target: str,
    model: str,
    reference: Mapping[str, Scalar],
    levels: Mapping[str, tuple[Scalar, ...]],
) -> pd.DataFrame:
    table, where = folder.trials, folder.path / "trials.parquet"
    mine = table[(table["target"] == target) & (table["model"] == model)]
    columns = [*TRIAL_COLUMNS, *(f"{model}/{name}" for name in levels)]
    if len(mine) and (missing := [name for name in columns if name not in mine.columns]):
        raise ReportError(f"{where}: expected the columns {', '.join(columns)}; missing {', '.join(missing)}")
    kept = ["trial_id", "state", "ended", "val_mae", *TRIAL_COLUMNS]
    found = mine.reindex(columns=kept).reset_index(drop=True)
    found["val_mae_raw"] = found["val_mae_raw"].astype("float64")
    for name, others in levels.items():
        stored = mine[f"{model}/{name}"] if len(mine) else []
        choices = (reference[name], *others)
        found[name] = [_position(value, choices, f"{where}: {model}/{name}") for value in stored]
    twice = found.duplicated(["seed", *levels])
    if twice.any():
        trial = found.loc[twice, "trial_id"].iloc[0]
        raise ReportError(
            f"{where}: expected one trial per configuration and seed, got trial {trial} beside another"
        )
    return found


def _position(stored: Any, choices: tuple[Scalar, ...], where: str) -> int:
    """Which of the choices a cell of trials.parquet holds: a column of several types is stored as text,
    and one that is empty in some rows turns whole numbers into floats.
    """
    empty = stored is None or stored != stored
    for position, choice in enumerate(choices):
        if (
            (choice is None)
            if empty
            else (choice is not None and (stored == choice or stored == str(choice)))
        ):
            return position
    named = ", ".join(str(choice) for choice in choices)
    raise ReportError(f"{where}: expected one of {named}, got {stored!r}")
