"""One picture of a report, drawn once and written twice: for light and for dark pages."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
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
        each.write_bytes(_encoded(pixels))
    return Picture(title, caption, alt, *paths)


def png(figure: Figure) -> bytes:
    """A figure as it is, as a PNG file."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return _encoded(np.asarray(canvas.buffer_rgba()))


def _encoded(pixels: np.ndarray) -> bytes:
    """With a palette, a quarter of the size. The same pixels give the same bytes."""
    picture, file = Image.fromarray(pixels).convert("RGB"), BytesIO()
    palette = picture.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette.save(file, "png")
    return file.getvalue()


def slug(text: str) -> str:
    """`text` as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.")
