"""The sections with the tables of errors: measured here, and published elsewhere."""

from dataclasses import replace
from pathlib import Path

from reports.load import Results
from reports.mae_table import MaeTable
from reports.render import printed_tables
from reports.sections import Block, Caution, Links, Paragraph, Section

FILES = Links(
    "This table as",
    (
        ("mae_table.md", "Markdown"),
        ("mae_table.tex", "LaTeX"),
        ("mae_table.csv", "CSV, unrounded and with run ids"),
    ),
)


def errors_section(results: Results, table: MaeTable, figures: Path) -> Section:
    """The measured errors."""
    measured = [each for each in printed_tables(table, results) if each.key != "published"]
    nothing = Paragraph("Nothing to show yet: the table is made of final runs, and there are none.")
    blocks: list[Block] = [*measured] or [nothing]
    return Section("errors", "Errors", "Errors", [*blocks, FILES])


def published_section(results: Results, table: MaeTable, figures: Path) -> Section | None:
    """The published errors of the same models; None where there are none."""
    for printed in printed_tables(table, results):
        if printed.key == "published":
            caution = Caution("Not directly comparable.", printed.notes[0])
            title = "Published errors of the same models"
            return Section("published", "Published", title, [caution, replace(printed, notes=())])
    return None
