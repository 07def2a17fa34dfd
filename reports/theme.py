"""Colours and type of the figures, for light and for dark pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib

from reports.published import REGISTRY_KEYS

DPI = 170
# One colour per registry key: Okabe and Ito's colour-blind-safe palette first, then colours that differ
# in lightness too.
LIGHT_COLOURS = (
    "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#E69F00",
    "#8A7A00", "#444444", "#882255", "#6FB31F", "#6A3D9A", "#602000",
)  # fmt: skip
DARK_COLOURS = (
    "#58AEE6", "#A5DCFF", "#FF8B3D", "#35CC9F", "#EBA1CB", "#F7BC45",
    "#C0E080", "#D8D8D8", "#E04060", "#2FA82F", "#B79AE6", "#B07A4A",
)  # fmt: skip


@dataclass(frozen=True)
class Theme:
    """Colours of one appearance of the page."""

    suffix: str
    ink: str
    muted: str
    grid: str
    paper: str
    colours: tuple[str, ...]

    def colour(self, model: str) -> str:
        """The colour of a registry key; keys that are not in the registry share grey."""
        return self.colours[REGISTRY_KEYS.index(model)] if model in REGISTRY_KEYS else self.muted

    def beside(self, other: "Theme") -> Iterator[tuple[str, str]]:
        """Each colour of this theme with what takes its place in the other one."""
        yield from zip(self._all, other._all, strict=True)

    @property
    def _all(self) -> tuple[str, ...]:
        return self.ink, self.muted, self.grid, self.paper, *self.colours


THEMES = (
    Theme("", "#1d2430", "#68707d", "#e3e6ea", "#ffffff", LIGHT_COLOURS),
    Theme("-dark", "#e6e9ee", "#98a1ae", "#2f3743", "#171c24", DARK_COLOURS),
)


@contextmanager
def style(theme: Theme) -> Iterator[None]:
    """Draws in `theme` inside this context; text is taken literally (no mathematics between dollar signs)."""
    settings: Any = {
        "figure.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "savefig.facecolor": theme.paper,
        "figure.dpi": DPI,
        "savefig.dpi": DPI,
        "figure.constrained_layout.use": True,
        "text.parse_math": False,
        "text.color": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.edgecolor": theme.muted,
        "axes.linewidth": 0.8,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titley": 1.0,  # where it would be moved to after all labels have been measured
        "axes.labelsize": 9.5,
        "grid.color": theme.grid,
        "grid.linewidth": 0.7,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "font.size": 9.5,
        "lines.linewidth": 1.8,
    }
    with matplotlib.rc_context(settings):
        yield
