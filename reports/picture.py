"""One picture of a report, drawn once and written twice: for light and for dark pages."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from reports.both_themes import DARK, LIGHT, CanvasOfBoth
from reports.theme import Theme, style

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
    with style(LIGHT):
        shown = CanvasOfBoth(make(LIGHT)).pixels()
    paths = [path.with_name(f"{path.name}{theme.suffix}.png") for theme in (LIGHT, DARK)]
    for pixels, each in zip(shown, paths, strict=True):
        _write_png(pixels, each)
    return Picture(title, caption, alt, *paths)


def write_png(figure: Figure, path: Path) -> None:
    """A figure as it is."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    _write_png(np.asarray(canvas.buffer_rgba()), path)


def _write_png(pixels: np.ndarray, path: Path) -> None:
    """With a palette, a quarter of the size. The same pixels give the same bytes."""
    picture = Image.fromarray(pixels).convert("RGB")
    palette = picture.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette.save(path, "png")


def slug(text: str) -> str:
    """`text` as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.")
