"""The findings as the templates take them, and the page that has nothing else."""

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reports.ablation.plot import caption, drawable, errors_by_factor, errors_by_factor_alt
from reports.ablation.tables import listed, printed_effects
from reports.ablation.words import Finding
from reports.figures import Picture, draw, slug
from reports.templating import embedded, printed, render


def sections(findings: Sequence[Finding], figures: Path) -> list[dict[str, Any]]:
    """What the templates show of each finding; draws its figure into the folder `figures` (made if
    absent).
    """
    figures.mkdir(parents=True, exist_ok=True)
    return [_section(finding, figures) for finding in findings]


def ablation_page(runs: dict[str, Path], ablations: list[dict[str, Any]]) -> str:
    """The ablation alone as HTML; `runs` are names and places of the run folders."""
    place = ["--out", "DIR"] if len(runs) > 1 else []
    command = ["python", "-m", "reports", *map(str, runs.values()), "--ablation", *place]
    return render("ablation_page.html.j2", names=list(runs), ablations=ablations, command=shlex.join(command))


def _section(finding: Finding, figures: Path) -> dict[str, Any]:
    return {
        "title": f"{finding.study.label}, {finding.study.target}",
        "headline": finding.headline,
        "reference": finding.reference,
        "listed": listed(finding),
        "table": printed(printed_effects(finding)),
        "picture": embedded(_picture(finding, figures)) if drawable(finding) else None,
    }


def _picture(finding: Finding, figures: Path) -> Picture:
    study = finding.study
    return draw(
        figures / f"ablation-{slug(f'{study.experiment}-{study.model}-{study.target}')}",
        f"Error against each factor: {study.label}, {study.target}",
        caption(finding),
        errors_by_factor_alt(finding),
        partial(errors_by_factor, finding),
    )
