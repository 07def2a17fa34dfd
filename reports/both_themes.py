"""A canvas that draws a figure once and shows it in two themes: what takes time is to lay out and to walk
through a figure, not to put its pixels down.
"""

from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import to_rgb

from reports.theme import THEMES

LIGHT, DARK = THEMES
IN_DARK = {to_rgb(light): to_rgb(dark) for light, dark in LIGHT.beside(DARK)}


class CanvasOfBoth(FigureCanvasAgg):
    """The canvas of a figure that was made in the light theme."""

    def get_renderer(self) -> "RendererOfBoth":
        """The one renderer of this canvas."""
        return self._both

    @cached_property
    def _both(self) -> "RendererOfBoth":
        return RendererOfBoth(*self.get_width_height(physical=True), self.figure.dpi)

    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """The figure in the light and in the dark theme, each (height, width, 4), uint8."""
        self.figure.draw(self._both)
        return np.asarray(self._both.light.buffer_rgba()), np.asarray(self._both.dark.buffer_rgba())


class RendererOfBoth(RendererBase):
    """Puts down all that it is given twice, the second time with the colours of the dark theme.

    A colour that is none of the light theme, such as those of a colour map, stays what it is.
    """

    def __init__(self, width: float, height: float, dpi: float) -> None:
        super().__init__()
        self.dpi = dpi
        self.light, self.dark = (RendererAgg(width, height, dpi) for _ in THEMES)

    def draw_path(self, gc: GraphicsContextBase, path: Any, transform: Any, rgbFace: Any = None) -> None:
        """See `RendererBase`."""
        self.light.draw_path(gc, path, transform, rgbFace)
        self.dark.draw_path(in_dark(gc), path, transform, dark_colour(rgbFace))

    def draw_markers(
        self, gc: GraphicsContextBase, marker_path: Any, marker_trans: Any, path: Any, trans: Any,
        rgbFace: Any = None,
    ) -> None:  # fmt: skip
        """See `RendererBase`."""
        self.light.draw_markers(gc, marker_path, marker_trans, path, trans, rgbFace)
        self.dark.draw_markers(in_dark(gc), marker_path, marker_trans, path, trans, dark_colour(rgbFace))

    def draw_path_collection(
        self, gc: GraphicsContextBase, master_transform: Any, paths: Any, all_transforms: Any, offsets: Any,
        offset_trans: Any, facecolors: Any, edgecolors: Any, *more: Any, **named: Any,
    ) -> None:  # fmt: skip
        """See `RendererBase`."""
        where = (master_transform, paths, all_transforms, offsets, offset_trans)
        self.light.draw_path_collection(gc, *where, facecolors, edgecolors, *more, **named)
        colours = dark_colours(facecolors), dark_colours(edgecolors)
        self.dark.draw_path_collection(in_dark(gc), *where, *colours, *more, **named)

    def draw_quad_mesh(
        self, gc: GraphicsContextBase, master_transform: Any, meshWidth: Any, meshHeight: Any,
        coordinates: Any, offsets: Any, offsetTrans: Any, facecolors: Any, antialiased: Any, edgecolors: Any,
    ) -> None:  # fmt: skip
        """See `RendererBase`."""
        where = (master_transform, meshWidth, meshHeight, coordinates, offsets, offsetTrans)
        self.light.draw_quad_mesh(gc, *where, facecolors, antialiased, edgecolors)
        colours = dark_colours(facecolors), antialiased, dark_colours(edgecolors)
        self.dark.draw_quad_mesh(in_dark(gc), *where, *colours)

    def draw_image(self, gc: GraphicsContextBase, x: float, y: float, im: Any, transform: Any = None) -> None:
        """See `RendererBase`."""
        for each in (self.light, self.dark):
            each.draw_image(gc, x, y, im)

    def draw_text(self, gc: GraphicsContextBase, *text: Any, **named: Any) -> None:
        """See `RendererBase`."""
        self.light.draw_text(gc, *text, **named)
        self.dark.draw_text(in_dark(gc), *text, **named)

    def get_text_width_height_descent(self, s: str, prop: Any, ismath: Any) -> tuple[float, float, float]:
        """See `RendererBase`."""
        return self.light.get_text_width_height_descent(s, prop, ismath)

    def get_canvas_width_height(self) -> tuple[float, float]:
        """See `RendererBase`."""
        return self.light.get_canvas_width_height()

    def points_to_pixels(self, points: Any) -> Any:
        """See `RendererBase`."""
        return self.light.points_to_pixels(points)

    def option_image_nocomposite(self) -> bool:
        """See `RendererBase`."""
        return self.light.option_image_nocomposite()


def in_dark(gc: GraphicsContextBase) -> GraphicsContextBase:
    """The same pen with its colour in the dark theme."""
    pen = GraphicsContextBase()
    pen.copy_properties(gc)
    pen.set_foreground(dark_colour(gc.get_rgb()), isRGBA=True)
    return pen


def dark_colour(colour: Any) -> Any:
    """A colour of three or four numbers, or none, in the dark theme; its opacity stays."""
    if colour is None:
        return None
    red, green, blue, *opacity = colour
    return (*IN_DARK.get((red, green, blue), (red, green, blue)), *opacity)


def dark_colours(colours: Any) -> Any:
    """Colours (n, 4) in the dark theme."""
    found = np.asarray(colours, dtype=np.float64)
    return np.array([dark_colour(each) for each in found.tolist()]).reshape(found.shape)
