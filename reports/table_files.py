"""The tables of a report as texts, without its page and figures: what is committed with results."""

from pathlib import Path

from reports import published
from reports.ablation.study import studies
from reports.ablation.tables import ablation_markdown, effects_csv
from reports.ablation.words import finding
from reports.answer import answers
from reports.latex import latex_text
from reports.load import load
from reports.mae_table import build
from reports.model_report.page import model_files
from reports.render import csv_text, markdown_text, printed_tables


def table_files(runs: list[Path]) -> dict[str, str]:
    """Name -> text of every table of the report of `runs`; the same as in the whole report.

    Raises:
        ReportError: as `reports.build`.
    """
    results = load(runs)
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
