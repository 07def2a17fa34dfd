"""One picture of a report, drawn twice: for light and for dark pages."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reports.theme import THEMES, Theme, style


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
    paths = []
    for theme in THEMES:
        with style(theme):
            paths.append(path.with_name(f"{path.name}{theme.suffix}.png"))
            # Without the version of Matplotlib in it, the same numbers give the same bytes.
            FigureCanvasAgg(make(theme)).print_png(paths[-1], metadata={"Software": None})
    return Picture(title, caption, alt, *paths)


def slug(text: str) -> str:
    """`text` as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.")
