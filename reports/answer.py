"""What was found, in a sentence or two: which model is best, by how much, and whether the evidence
supports it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from reports.comparison import ALPHA, Comparison, Rival
from reports.load import Results
from reports.mae_table import MaeTable, Task
from reports.rounding import p_value, significant, with_sd

MOST_NAMED = 4  # models that a sentence names one by one


@dataclass(frozen=True)
class Answer:
    """`headline`: the answer itself. `detail`: its evidence and limits."""

    headline: str
    detail: str


def answers(table: MaeTable, results: Results) -> list[Answer]:
    """One answer per task; where nothing was retrained yet, what the search has so far."""
    if not table.tasks:
        return [_unfinished(results)]
    return [_answer(table, task) for task in table.tasks]


def _answer(table: MaeTable, task: Task) -> Answer:
    rows = table.measured(task)
    split = "test" if "test" in set(rows["split"]) else "val"
    ranked = rows[rows["split"] == split].sort_values("mae", kind="stable")
    best = ranked.iloc[0]
    crystals = f"{int(best['crystals']):,} {'test' if split == 'test' else 'validation'} crystals"
    error = f"a mean absolute error of {_value(best)} on {crystals}"
    reached = f"{best['candidate']} predicts {task.target} with {error}"
    floors = _floors(table, task, split, str(best["candidate"]))
    if len(ranked) == 1:
        alone = "No other model was retrained, so there is nothing to compare it with."
        return Answer(f"{reached}.", f"{_seeds(best)} {alone} {floors}".strip())
    second = ranked.iloc[1]
    comparison = table.comparisons[task, split]
    headline = f"{reached}, {_ahead(best, second, comparison)}."
    if comparison is None:
        verdict = "The models have fewer than two crystals in common, so the difference was not tested."
    else:
        verdict = _verdict(comparison)
    return Answer(headline, f"{verdict} {_seeds(best)} {_validation(table, task, best)} {floors}".strip())


def _ahead(best: pd.Series, second: pd.Series, comparison: Comparison | None) -> str:
    """By how much the best is ahead of the second; where others are ahead on the crystals that both predict,
    that instead: the lower mean came from other crystals.
    """
    ahead = [rival.candidate for rival in comparison.rivals if rival.difference < 0] if comparison else []
    if ahead:
        return f"but {_listed(ahead)} {'has' if len(ahead) == 1 else 'have'} a lower one on the same crystals"
    share = significant(100 * (second["mae"] - best["mae"]) / second["mae"], 2)
    return f"{share} % below {second['candidate']} ({_value(second)})"


def _listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _verdict(comparison: Comparison) -> str:
    nearest = comparison.rivals[0]
    weakest = max(comparison.rivals, key=lambda rival: rival.p)
    if comparison.supported:
        against = (
            nearest.candidate
            if len(comparison.rivals) == 1
            else f"each of the {len(comparison.rivals)} other models"
        )
        verdict = (
            f"A paired test over the crystals supports the difference to {against} ({p_value(weakest.p)})."
        )
    else:
        verdict = " ".join(_unsupported(comparison))
    partial = [rival for rival in comparison.rivals if rival.crystals < comparison.crystals]
    if partial:
        by_number: dict[int, list[str]] = {}
        for rival in partial:
            by_number.setdefault(rival.crystals, []).append(rival.candidate)
        counted = ", ".join(
            f"{'all others' if len(names) == len(comparison.rivals) > 1 else _listed(names)} on {number:,}"
            for number, names in by_number.items()
        )
        verdict += (
            f" Pairs are compared on the crystals that both models can represent: {counted} of "
            f"{comparison.crystals:,}."
        )
    return verdict


def _unsupported(comparison: Comparison) -> Iterator[str]:
    """Which models the best is tied with, and which are better where both predict."""
    better = [rival for rival in comparison.rivals if rival.difference < 0 and rival.p < ALPHA]
    tied = [rival for rival in comparison.rivals if not rival.worse and rival not in better]
    if tied:
        yield (
            "A paired test over the crystals does not support a difference to "
            f"{_ties(tied, comparison)}: read it as a tie."
        )
    if better:
        yield f"On the crystals that both predict, a paired test finds {_with_p(better)} better."


def _with_p(rivals: list[Rival]) -> str:
    return ", ".join(f"{rival.candidate} ({p_value(rival.p)})" for rival in rivals)


def _ties(tied: list[Rival], comparison: Comparison) -> str:
    """The models by name; of many, how many, and the ends of their p."""
    if len(tied) <= MOST_NAMED:
        return _with_p(tied)
    low, high = min(tied, key=lambda rival: rival.p), max(tied, key=lambda rival: rival.p)
    others = "any of the" if len(tied) == len(comparison.rivals) else f"{len(tied)} of the"
    return (
        f"{others} {len(comparison.rivals)} other models (from {low.candidate}, {p_value(low.p)}, to "
        f"{high.candidate}, {p_value(high.p)})"
    )


def _floors(table: MaeTable, task: Task, split: str, best: str) -> str:
    """Whether the best model passes the floors; nothing where there are none."""
    rivals = table.over_floors.get((task, split), ())
    if not rivals:
        return ""
    rows = table.floors(task)
    of_split = rows[rows["split"] == split].set_index("candidate")
    shown = [
        f"{rival.candidate.replace(' (floor)', '')} {_value(of_split.loc[rival.candidate])} "
        f"({p_value(rival.p)})"
        for rival in rivals
    ]
    if failed := [text for text, rival in zip(shown, rivals, strict=True) if not rival.worse]:
        return f"{best} is not shown to be better than a floor: {', '.join(failed)}."
    passed = {1: "the floor", 2: "both floors"}.get(len(rivals), "every floor")
    return f"{best} is better than {passed}: {', '.join(shown)}."


def _validation(table: MaeTable, task: Task, best: pd.Series) -> str:
    rows = table.measured(task)
    validation = rows[rows["split"] == "val"].sort_values("mae", kind="stable")
    leader = validation.iloc[0]
    if leader["candidate"] == best["candidate"]:
        return f"It is also the best on validation ({_value(leader)})."
    return f"On validation {leader['candidate']} is ahead ({_value(leader)})."


def _value(row: pd.Series) -> str:
    value, sd = with_sd(row["mae"], row["sd"])
    unit = f" {row['unit']}" if isinstance(row["unit"], str) else ""
    return f"{value}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{sd}{unit}" if sd else f"{value}{unit}"


def _seeds(row: pd.Series) -> str:
    seeds = int(row["n_seeds"])
    if seeds == 1:
        return "One seed only: the spread between trainings is unknown."
    return f"Its error is the mean over {seeds} seeds."


def _unfinished(results: Results) -> Answer:
    states = ", ".join(f"{name}: {folder.search['status']}" for name, folder in results.folders.items())
    headline = f"No final runs yet ({states})."
    validated = results.trials.dropna(subset=["val_mae"])
    if validated.empty:
        return Answer(headline, "No trial has a validation error yet.")
    found = []
    for (experiment, target), trials in validated.groupby(["experiment", "target"], sort=False):
        best = trials.loc[trials["val_mae"].idxmin()]
        unit = results.folders[str(experiment)].search["dataset"]["targets"].get(target)
        error = f"{significant(best['val_mae'])}{f' {unit}' if unit else ''}"
        found.append(f"{error} for {target} ({best['model']}, trial {best['number']})")
    return Answer(
        headline,
        f"Lowest validation MAE in {len(results.trials)} trials: {'; '.join(found)}. That is the luckiest "
        f"of many trials, not a "
        "result. The same search command, given again, continues an unfinished search.",
    )
