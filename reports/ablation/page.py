"""The findings as a section of the report, and as a page of their own."""

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from reports.ablation.plot import caption, drawable, errors_by_factor, errors_by_factor_alt
from reports.ablation.study import studies
from reports.ablation.tables import ablation_markdown, effects_csv, listed, printed_effects
from reports.ablation.words import Finding, finding
from reports.answer import Answer
from reports.html import page
from reports.load import Results
from reports.mae_table import MaeTable
from reports.picture import Picture, draw, slug
from reports.sections import Block, Bullets, Code, Heading, Links, Paragraph, Section

WHERE_FROM = (
    "These differences are between runs of the search, on validation crystals, as training recorded them; "
    "the errors above are those of final runs."
)
FILES = Links("This as", (("ablation.md", "Markdown"), ("ablation.csv", "CSV, unrounded and seed by seed")))


def ablation_section(results: Results, table: MaeTable, figures: Path) -> Section | None:
    """What each change of a reference did; None where no run is an ablation."""
    findings = [finding(study) for study in studies(results)]
    if not findings:
        return None
    blocks: list[Block] = [Paragraph(WHERE_FROM)]
    for each in findings:
        title = Heading(f"{each.study.label}, {each.study.target}")
        blocks += [title, Paragraph(each.headline, strong=True), *_evidence(each, figures)]
    return _section(findings, blocks)


def ablation_page(results: Results, figures: Path) -> tuple[str, dict[str, str]]:
    """The ablation alone as HTML, and the other files of its report; draws figures into `figures`."""
    findings = [finding(study) for study in studies(results)]
    blocks: list[Block] = []
    for each in findings:
        blocks += [Heading(f"{each.study.label}, {each.study.target}"), *_evidence(each, figures)]
    section = _section(findings, blocks)
    places = [str(folder.path) for folder in results.folders.values()]
    where = ["--out", "DIR"] if len(places) > 1 else []
    command = shlex.join(["python", "-m", "reports", *places, "--ablation", *where])
    again = Section("again", "Build again", "Build this report again", [Code(command)])
    answers = [Answer(each.headline, "") for each in findings]
    return page(list(results.folders), answers, [section, again]), section.files


def _section(findings: list[Finding], blocks: Sequence[Block]) -> Section:
    files = {"ablation.md": ablation_markdown(findings), "ablation.csv": effects_csv(findings)}
    return Section("ablation", "Ablation", "Ablation", [*blocks, FILES], files)


def _evidence(each: Finding, figures: Path) -> list[Block]:
    blocks: list[Block] = [Paragraph(each.reference)]
    blocks += [Bullets(sentences, heading) for heading, sentences in listed(each)]
    blocks.append(printed_effects(each))
    return [*blocks, _picture(each, figures)] if drawable(each) else blocks


def _picture(each: Finding, figures: Path) -> Picture:
    study = each.study
    return draw(
        figures / f"ablation-{slug(f'{study.experiment}-{study.model}-{study.target}')}",
        f"Error against each factor: {study.label}, {study.target}",
        caption(each),
        errors_by_factor_alt(each),
        partial(errors_by_factor, each),
    )
