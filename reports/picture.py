"""One picture of a report, drawn twice: for light and for dark pages."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from reports.theme import THEMES, Theme, style

COLOURS = 256  # of a palette


@dataclass(frozen=True)
class Picture:
    """One figure on disk, light and dark; `alt` says in words what it shows."""

    title: str
    caption: str
    alt: str
    light: Path
    dark: Path


def draw(path: Path, title: str, caption: str, alt: str, make: Callable[[Theme], Figure]) -> Picture:
    """Writes one figure at `path`, without its suffix, light and dark."""
    paths: list[Path] = []
    arranged: Figure | None = None
    for theme in THEMES:
        with style(theme):
            figure = make(theme)
            if arranged is not None:
                _arrange_like(arranged, figure)
            paths.append(path.with_name(f"{path.name}{theme.suffix}.png"))
            write_png(figure, paths[-1])
            arranged = figure
    return Picture(title, caption, alt, *paths)


def _arrange_like(first: Figure, figure: Figure) -> None:
    """Themes differ in colours alone: the second is not arranged anew, which takes as long as to draw it."""
    figure.set_layout_engine("none")
    for axes, other in zip(first.axes, figure.axes, strict=True):
        other.set_position(axes.get_position())
    for text, twin in zip(first.texts, figure.texts, strict=True):
        twin.set_position(text.get_position())


def write_png(figure: Figure, path: Path) -> None:
    """As PNG with a palette, a quarter of the size. The same numbers give the same bytes."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    palette = picture.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette.save(path, "png")


def slug(text: str) -> str:
    """`text` as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.")
