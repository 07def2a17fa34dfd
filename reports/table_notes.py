"""What stands below a table of measured errors: what its numbers are, and what is missing from it."""

from reports.comparison import ALPHA
from reports.load import Results
from reports.mae_table import MaeTable, Task
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
    if unit is None:
        notes.append(f"The data set states no unit for {task.target}: its errors are plain numbers.")
    mad = rows["train_mad"].dropna()
    if len(mad):
        value = f"{significant(mad.iloc[0])}{f' {unit}' if unit else ''}"
        notes.append(
            f"MAD:MAE: mean absolute deviation of the training targets ({value}) over test MAE; 1 is a "
            f"constant guess."
        )
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
    return tuple(notes)
