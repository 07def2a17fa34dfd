"""The MAE table as text: rounded once, then written as Markdown and (unrounded) CSV; as LaTeX in `latex`.

Rounding happens in `printed_tables`; the writers only escape and place its strings, and the HTML page uses
the same.
"""

import re
from dataclasses import dataclass, replace
from itertools import compress

import pandas as pd

from crystalformer.data.catalog import DATASETS
from reports.load import Results
from reports.mae_table import CSV_COLUMNS, MaeTable, Task
from reports.rounding import between, count, significant, with_sd
from reports.table_notes import table_notes


@dataclass(frozen=True)
class Cell:
    """A rounded value with its rounded standard deviation ("" where there is none)."""

    text: str
    sd: str = ""
    bold: bool = False


@dataclass(frozen=True)
class PrintedRow:
    """A row of a printed table: the model, one cell per further column, and the run ids behind the errors."""

    label: str
    cells: tuple[Cell, ...]
    run_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class PrintedTable:
    """One table; `title` and `notes` are plain text, units stand in `header`. `page_only`: names of columns
    for which paper is too narrow.
    """

    key: str
    title: str
    header: tuple[str, ...]
    rows: tuple[PrintedRow, ...]
    notes: tuple[str, ...]
    page_only: frozenset[str] = frozenset()

    @property
    def on_paper(self) -> "PrintedTable":
        """The table without the columns that only the page has."""
        kept = [name not in self.page_only for name in self.header]
        rows = tuple(replace(row, cells=tuple(compress(row.cells, kept[1:]))) for row in self.rows)
        return replace(self, header=tuple(compress(self.header, kept)), rows=rows, page_only=frozenset())


PUBLISHED_WARNING = (
    "These errors were published for other, larger data sets and other splits: they show what the models "
    "reach there and are not directly comparable with the measured ones."
)


def in_unit(text: str, unit: str | None) -> str:
    """`text` followed by the unit in parentheses, where there is one."""
    return f"{text} ({unit})" if unit else text


def printed_tables(table: MaeTable, results: Results) -> list[PrintedTable]:
    """One table of measured errors per task, then one of published errors where there are any."""
    measured = [_measured_table(table, results, task) for task in table.tasks]
    return measured + ([_published_table(table)] if len(table.published) else [])


def _measured_table(table: MaeTable, results: Results, task: Task) -> PrintedTable:
    rows = pd.concat([table.measured(task), table.floors(task)])
    unit = _text(rows["unit"].iloc[0])
    incomplete = bool(rows["absent"].any())
    tested = rows[rows["split"] == "test"]
    repeated = bool(
        (tested["mae_deduplicated"].notna() & (tested["mae_deduplicated"] != tested["mae"])).any()
    )
    header = (
        "Model",
        "Recipe",
        in_unit("Val MAE", unit),
        in_unit("Test MAE", unit),
        "95 % interval (test)",
        *([in_unit("Test MAE, deduplicated", unit)] if repeated else []),
        rmse := in_unit("Test RMSE", unit),
        r2 := "Test R²",
        *(["Predicted crystals"] if incomplete else []),
        "Seeds",
        "Parameters",
        "Training (s/epoch)",
        "Prediction (ms/crystal)",
        "Peak memory (MB)",
        "Trials × epochs",
        "Search and final runs (h)",
        "MAD:MAE",
    )
    groups = rows.groupby(["experiment", "model"], sort=False)
    printed = tuple(_measured_row(group, incomplete, repeated) for _, group in groups)
    key = re.sub(r"[^A-Za-z0-9]+", "-", f"{task.dataset}-{task.target}").strip("-")
    notes = table_notes(table, results, task, unit)
    wide = frozenset({rmse, r2, "Peak memory (MB)", "Trials × epochs", "Search and final runs (h)"})
    return PrintedTable(key, _title(task), header, printed, notes, wide)


def _title(task: Task) -> str:
    known = DATASETS.get(task.dataset)
    label = known.targets[task.target].label if known and task.target in known.targets else ""
    return f"{task.target} on {task.dataset}" + (f": {label}" if label else "")


def _measured_row(group: pd.DataFrame, incomplete: bool, repeated: bool) -> PrintedRow:
    by_split = {str(row["split"]): row for row in group.to_dict("records")}
    some = by_split.get("test") or by_split["val"]
    errors = [_error(by_split[split]) if split in by_split else Cell("") for split in ("val", "test")]
    seeds, expected = int(some["n_seeds"]), int(some["n_expected"])
    tested = by_split.get("test") or dict.fromkeys(
        ("mae", "mae_low", "mae_high", "rmse", "r2", "mad"), float("nan")
    )
    ratio = tested["mad"] / tested["mae"] if tested["mae"] > 0 else float("nan")
    return PrintedRow(
        label=str(some["candidate"]),
        cells=(
            Cell(_text(some["recipe"]) or "-"),
            *errors,
            Cell(between(tested["mae_low"], tested["mae_high"])),
            *([Cell(significant(tested["mae_deduplicated"]))] if repeated else []),
            Cell(significant(tested["rmse"])),
            Cell("" if pd.isna(tested["r2"]) else f"{tested['r2']:.3f}"),
            *([Cell(_predicted(some))] if incomplete else []),
            Cell(str(seeds) if seeds == expected else f"{seeds} of {expected}"),
            Cell(count(some["params"])),
            Cell(significant(some["train_s_per_epoch"])),
            Cell(significant(some["predict_ms_per_crystal"])),
            Cell(count(some["peak_memory_mb"])),
            Cell(trials_and_epochs(some)),
            Cell(significant(some["search_hours"], 2)),
            Cell(significant(ratio, 2)),
        ),
        run_ids=tuple(str(some["run_ids"]).split()),
    )


def trials_and_epochs(row: dict[str, object]) -> str:
    """`6 × 60`: configurations that were tried, and epochs of the final runs; nothing for a floor."""
    if pd.isna(row["epochs"]):
        return ""
    return f"{count(row['trials'])} × {count(row['epochs'])}"


def _predicted(row: dict[str, object]) -> str:
    """n of m crystals of the test split, or of validation where there is no test."""
    crystals, absent = int(row["crystals"]), int(row["absent"])  # type: ignore[call-overload]
    return f"{crystals:,} of {crystals + absent:,}"


def _error(row: dict[str, object]) -> Cell:
    value, sd = with_sd(float(row["mae"]), float(row["sd"]))  # type: ignore[arg-type]
    return Cell(value, sd, bool(row["bold"]))


def _published_table(table: MaeTable) -> PrintedTable:
    header = ("Model", "Data set", "Target", "Test MAE", "Unit", "Parameters", "Source")
    rows = tuple(
        PrintedRow(
            f"{row['candidate']}, {row['variant']}" if row["variant"] else str(row["candidate"]),
            tuple(
                Cell(text)
                for text in (
                    str(row["dataset"]),
                    str(row["target"]),
                    f"{row['mae']:g}",
                    _text(row["unit"]) or "",
                    count(row["params"]),
                    str(row["source"]).removeprefix(f"{row['variant']}: "),
                )
            ),
        )
        for row in table.published.to_dict("records")
    )
    return PrintedTable("published", "Published errors", header, rows, (PUBLISHED_WARNING,))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def csv_text(table: MaeTable) -> str:
    """The frame with exactly the columns CSV_COLUMNS; floats unrounded, missing values empty."""
    return str(table.frame[CSV_COLUMNS].to_csv(index=False, lineterminator="\n"))


def markdown_text(tables: list[PrintedTable], empty: str) -> str:
    """All tables as Markdown; the sentence `empty` where there is none."""
    return "\n".join(markdown_table(table) for table in tables) or f"{markdown_words(empty)}\n"


def markdown_table(table: PrintedTable) -> str:
    """One table with its title and notes as Markdown."""
    numeric = [is_numeric(table, column) for column in range(len(table.header))]
    lines = [
        [markdown_words(name) for name in table.header],
        *([markdown_words(row.label), *(_markdown_cell(cell) for cell in row.cells)] for row in table.rows),
    ]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(table.header))]
    padded = [
        [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ]
        for line in lines
    ]
    rule = ["-" * (width - 1) + (":" if right else "-") for width, right in zip(widths, numeric, strict=True)]
    body = "\n".join("| " + " | ".join(line) + " |" for line in [padded[0], rule, *padded[1:]])
    notes = "\n".join(f"- {markdown_words(note)}" for note in [*table.notes, *_run_notes(table)])
    return f"### {markdown_words(table.title)}\n\n{body}\n\n{notes}\n"


def _run_notes(table: PrintedTable) -> list[str]:
    return [f"Runs of {row.label}: {', '.join(row.run_ids)}" for row in table.rows if row.run_ids]


def is_numeric(table: PrintedTable, column: int) -> bool:
    """Whether a column holds numbers (and is set flush right)."""
    return table.header[column].startswith(
        (
            *(
                "Val",
                "Test",
                "Predicted",
                "Seeds",
                "Parameters",
                "Training",
                "Prediction",
                "Peak",
                "Search",
                "Trials",
                "MAD",
            ),
            *("Difference", "Relative", "95", "p ("),  # of an ablation
            "Per doubling",  # of the error over the training crystals
        )
    )


def _markdown_cell(cell: Cell) -> str:
    value = f"**{cell.text}**" if cell.bold else markdown_words(cell.text)
    return f"{value} ± {cell.sd}" if cell.sd else value


def markdown_words(text: str) -> str:
    """Plain text that Markdown (and the HTML it may hold) leaves as it is."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split())).replace("&", "&amp;")
