"""The tables of a report as texts, without its page and figures: what is committed with results."""

from collections.abc import Sequence

from reports import published
from reports.ablation.study import studies
from reports.ablation.tables import ablation_markdown, effects_csv
from reports.ablation.words import finding
from reports.answer import answers
from reports.latex import latex_text
from reports.load import side_by_side
from reports.mae_table import build
from reports.model_report.page import model_files
from reports.render import csv_text, markdown_text, printed_tables
from reports.run_folder import RunFolder


def table_files(runs: Sequence[RunFolder]) -> dict[str, str]:
    """Name -> text of every table of the report of `runs`; the same as in the whole report.

    Raises:
        ReportError: as `reports.load.side_by_side`.
    """
    results = side_by_side(runs)
    table = build(results, published.load())
    printed = printed_tables(table, results)
    empty = answers(table, results)[0].headline
    files = {
        "mae_table.md": markdown_text(printed, empty),
        "mae_table.tex": latex_text(printed, empty),
        "mae_table.csv": csv_text(table),
    }
    findings = [finding(study) for study in studies(results)]
    if findings:
        files |= {"ablation.md": ablation_markdown(findings), "ablation.csv": effects_csv(findings)}
    return files | model_files(results, table)
