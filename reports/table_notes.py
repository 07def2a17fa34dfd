"""What stands below a table of measured errors: what its numbers are, and what is missing from it."""

import pandas as pd

from reports.comparison import ALPHA
from reports.hours import devices
from reports.intervals import RESAMPLES
from reports.load import Results
from reports.mae_table import MaeTable, Task
from reports.near_duplicates import duplicate_notes
from reports.rounding import significant


def table_notes(table: MaeTable, results: Results, task: Task, unit: str | None) -> tuple[str, ...]:
    """The notes of one task's table, as plain sentences."""
    rows = table.measured(task)
    counts = {split: int(group["crystals"].max()) for split, group in rows.groupby("split")}
    crystals = " and ".join(f"{counts[split]:,} {split}" for split in ("val", "test") if split in counts)
    notes = [
        f"Errors over {crystals} crystals: mean ± standard deviation over the seeds. Selection used "
        f"validation only."
    ]
    if rows["candidate"].nunique() > 1:
        notes.append(
            "Bold: the lowest error, where a paired t-test over crystals (errors averaged over the seeds, "
            f"Holm-corrected over the models) gives p < {ALPHA} against each other model; else no bold."
            + (" Each pair is compared on the crystals that both predict." if rows["absent"].any() else "")
        )
    if len(table.floors(task)):
        notes.append(
            "Floors: what needs no structure, the mean of the training targets and a random forest of the "
            "composition alone, on the same splits. They stand outside the family of the paired test."
        )
    if "published" in set(rows["recipe"]):
        notes.append(
            "Recipe: where settings of training that were not searched come from; common is the same for all "
            "models, published each model's own. Numbers of epochs are the search's."
        )
    notes += _budgets(rows)
    trained_on = "; ".join(devices(results, dict.fromkeys(rows["experiment"])))
    notes.append(
        "Costs: an epoch of training, prediction in batches with graphs at hand and the largest memory are "
        f"means over the final runs, measured in the same way for all models, on {trained_on}. Search and "
        "final runs: hours of training and validation of all trials and final runs of the model, added up."
    )
    if unit is None:
        notes.append(f"The data set states no unit for {task.target}: its errors are plain numbers.")
    notes += _test_notes(rows, unit)
    notes += duplicate_notes(results, task.dataset, task.target)
    notes += [
        each.sentence
        for each in results.unrepresented
        if each.target == task.target
        and results.folders[each.experiment].search["dataset"]["name"] == task.dataset
    ]
    for gap in results.missing:
        if (
            gap.target == task.target
            and results.folders[gap.experiment].search["dataset"]["name"] == task.dataset
        ):
            where = f" in {gap.experiment}" if len(results.folders) > 1 else ""
            seeds = ", ".join(str(seed) for seed in gap.seeds)
            done = gap.expected - len(gap.seeds)
            notes.append(
                f"Missing: {gap.label}{where} has {done} of {gap.expected} final runs (no complete run of "
                f"seed {seeds})."
            )
    return (*notes, *_commands(results, rows))


def _budgets(rows: pd.DataFrame) -> list[str]:
    """What rows had different budgets, if any: a comparison with equal ones needs no words."""
    budgets = dict(zip(rows["candidate"], zip(rows["trials"], rows["epochs"], strict=True), strict=True))
    if len(set(budgets.values())) < 2:
        return []
    listed = ", ".join(
        f"{candidate} {trials:,} × {epochs:,}" for candidate, (trials, epochs) in budgets.items()
    )
    return [
        f"Budgets differ. Trials of the search × epochs of each final run: {listed}. A model that was "
        "trained for fewer epochs, or searched less, may be better than its row says."
    ]


def _commands(results: Results, rows: pd.DataFrame) -> list[str]:
    """How to repeat the rows: the command of each search."""
    several = len(results.folders) > 1
    return [
        f"To repeat{f' {name}' if several else ''}: {command}"
        for name in dict.fromkeys(rows["experiment"])
        if (command := results.folders[name].search.get("command"))
    ]


def _test_notes(rows: pd.DataFrame, unit: str | None) -> list[str]:
    """What the columns of the test split say beside the mean error; nothing where it was not predicted."""
    tested = rows[rows["split"] == "test"]
    if tested.empty:
        return []
    widest = tested.loc[tested["crystals"].idxmax()]
    value = f"{significant(widest['mad'])}{f' {unit}' if unit else ''}"
    return [
        f"Interval: where 95 % of {RESAMPLES:,} bootstrap resamples of the test crystals have the MAE "
        "(errors averaged over the seeds). It is about other crystals, the standard deviation about other "
        "trainings.",
        f"MAD:MAE: mean absolute deviation of the targets of the test split ({value}) over test MAE; 1 is a "
        "constant guess."
        + (" Each model's is over the crystals that it predicts." if tested["absent"].any() else ""),
    ]
