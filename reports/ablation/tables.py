"""The effects as a printed table, as CSV, and with the words around it as Markdown."""

import pandas as pd

from reports.ablation.effects import WEIGHTS, Effect
from reports.ablation.terms import named, plain, signed, with_unit
from reports.ablation.words import Finding, decimals
from reports.render import Cell, PrintedRow, PrintedTable, in_unit, markdown_table, markdown_words
from reports.rounding import p_value

CSV_COLUMNS = [
    "experiment", "model", "target", "unit", "design", "factor", "value", "reference", "baseline_val_mae",
    "difference", "percent", "low", "high", "n_seeds", "planned_seeds", "p_holm", "moved", "differences",
]  # fmt: skip


def printed_effects(finding: Finding) -> PrintedTable:
    """The table of one study; its notes are those of the finding."""
    study = finding.study
    header = (
        "Factor",
        "Changed to",
        "Reference",
        in_unit("Difference of val MAE", study.unit),
        "Relative (%)",
        in_unit("95\N{NO-BREAK SPACE}% interval", study.unit),
        "Seeds",
        "p (Holm)",
        "Verdict",
    )
    rows = tuple(PrintedRow(named(each.factor), _cells(each)) for each in finding.effects)
    title = f"{study.label}, {study.target}: each change against the reference"
    return PrintedTable(f"ablation-{study.model}-{study.target}", title, header, rows, finding.notes)


def _cells(effect: Effect) -> tuple[Cell, ...]:
    places = decimals(effect)
    verdict = "moved" if effect.moved else "not shown" if effect.tested else "not tested"
    interval = f"{signed(effect.low, places)} to {signed(effect.high, places)}" if effect.tested else ""
    return (
        Cell(with_unit(effect.factor, effect.value)),
        Cell(with_unit(effect.factor, effect.reference)),
        Cell(signed(effect.mean, places) if effect.n else "", bold=effect.moved),
        Cell(signed(effect.percent, 1) if effect.percent == effect.percent else ""),
        Cell(interval),
        Cell(str(effect.n) if effect.n == effect.planned else f"{effect.n} of {effect.planned}"),
        Cell(p_value(effect.p).removeprefix("p ").removeprefix("= ") if effect.tested else ""),
        Cell(verdict),
    )


def effects_csv(findings: list[Finding]) -> str:
    """One row per change, unrounded; `differences` holds `seed:difference` pairs."""
    rows = [_record(finding, effect) for finding in findings for effect in finding.effects]
    return str(pd.DataFrame(rows, columns=CSV_COLUMNS).to_csv(index=False, lineterminator="\n"))


def _record(finding: Finding, effect: Effect) -> dict[str, object]:
    study = finding.study
    return {
        "experiment": study.experiment,
        "model": study.model,
        "target": study.target,
        "unit": study.unit,
        "design": study.design,
        "factor": effect.factor,
        "value": effect.value if effect.factor == WEIGHTS else plain(effect.value),
        "reference": effect.reference if effect.factor == WEIGHTS else plain(effect.reference),
        "baseline_val_mae": effect.baseline,
        "difference": effect.mean,
        "percent": effect.percent,
        "low": effect.low,
        "high": effect.high,
        "n_seeds": effect.n,
        "planned_seeds": effect.planned,
        "p_holm": effect.p,
        "moved": effect.moved,
        "differences": " ".join(f"{seed}:{each!r}" for seed, each in effect.differences.items()),
    }


def ablation_markdown(findings: list[Finding]) -> str:
    """The page of text with its tables."""
    return "\n".join(_markdown(finding) for finding in findings)


def _markdown(finding: Finding) -> str:
    lines = [f"## {markdown_words(finding.headline)}", "", markdown_words(finding.reference), ""]
    for heading, sentences in listed(finding):
        lines += [f"**{heading}**", "", *(f"- {markdown_words(each)}" for each in sentences), ""]
    return "\n".join(lines) + "\n" + markdown_table(printed_effects(finding))


def listed(finding: Finding) -> list[tuple[str, tuple[str, ...]]]:
    """The sentences under their headings; headings without a sentence are left out."""
    groups = [
        ("What moved the error", finding.moved),
        ("What is not shown to move it", finding.unmoved),
        ("What could not be tested", finding.untested),
    ]
    return [(heading, sentences) for heading, sentences in groups if sentences]
