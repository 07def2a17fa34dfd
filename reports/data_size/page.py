"""The curves as a page of their own."""

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from reports.answer import Answer
from reports.data_size.curve import SizeCurve
from reports.data_size.plot import CAPTION, errors_by_size, errors_by_size_alt
from reports.data_size.tables import curves_csv, curves_markdown, printed_curve, sentences
from reports.html import page
from reports.picture import Picture, draw
from reports.sections import Block, Bullets, Code, Heading, Links, Section

FILES = Links("This as", (("data_size.md", "Markdown"), ("data_size.csv", "CSV, unrounded")))


def data_size_page(runs: Sequence[Path], curves: Sequence[SizeCurve], figures: Path) -> dict[str, str]:
    """Name -> text of the page and of the tables; draws figures into `figures`."""
    blocks: list[Block] = []
    for curve in curves:
        title = Heading(f"{curve.target}, {curve.label}")
        blocks += [title, Bullets(sentences(curve)), printed_curve(curve), _picture(curve, figures)]
    section = Section("data-size", "Data size", "Error against training crystals", [*blocks, FILES])
    command = shlex.join(["python", "-m", "reports", *map(str, runs), "--data-size", "--out", "DIR"])
    again = Section("again", "Build again", "Build this page again", [Code(command)])
    names = list(dict.fromkeys(name for curve in curves for name in curve.points["experiment"]))
    text = page(names, [Answer(_headline(curve), "") for curve in curves], [section, again])
    return {"index.html": text, "data_size.md": curves_markdown(curves), "data_size.csv": curves_csv(curves)}


def _headline(curve: SizeCurve) -> str:
    sizes = curve.sizes
    best = curve.points[(curve.points["train_crystals"] == sizes[-1]) & (curve.points["kind"] == "measured")]
    lowest = best.sort_values("mae").iloc[0]
    return (
        f"{curve.target}: with {sizes[-1]:,} training crystals {lowest['label']} has the lowest error of "
        f"{len(best)} models; the table begins at {sizes[0]:,}."
    )


def _picture(curve: SizeCurve, figures: Path) -> Picture:
    return draw(
        figures / curve.slug,
        f"Error against training crystals: {curve.target}",
        CAPTION,
        errors_by_size_alt(curve),
        partial(errors_by_size, curve),
    )
