"""The template of all pages, and what it is given of sections."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.picture import Picture, slug
from reports.render import PrintedTable, is_numeric
from reports.sections import Block, Folded, Heading, PeriodicTable, Section

TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **values: Any) -> str:
    """A template with its values, each of which is escaped by it."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def shown(section: Section) -> dict[str, Any]:
    """A section as the template takes it: every block with its `kind`, every heading with an anchor."""
    anchors = Anchors(section.key)
    return {
        "key": section.key,
        "name": section.name,
        "title": section.title,
        "blocks": [_block(block, anchors) for block in section.blocks],
        "headings": anchors.listed,
    }


class Anchors:
    """Anchors of the headings of a section, each given once. `listed`: anchor and heading of those that are
    in sight, for the table of contents.
    """

    def __init__(self, section: str) -> None:
        self._section = section
        self._taken: set[str] = set()
        self._folds = 0
        self.listed: list[tuple[str, str]] = []

    def of(self, heading: str) -> str:
        """A new anchor for a heading."""
        first = f"{self._section}-{slug(heading).lower()}"
        numbered = (f"{first}-{n}" for n in range(2, len(self._taken) + 3))
        anchor = next(each for each in (first, *numbered) if each not in self._taken)
        self._taken.add(anchor)
        if not self._folds:
            self.listed.append((anchor, heading))
        return anchor

    @contextmanager
    def folded(self) -> Iterator[None]:
        """Headings in this context are out of sight."""
        self._folds += 1
        yield
        self._folds -= 1


def _block(block: Block, anchors: Anchors) -> dict[str, Any]:
    kind = type(block).__name__
    if isinstance(block, Folded):
        with anchors.folded():
            inside = [_block(each, anchors) for each in block.blocks]
        return {"kind": kind, "summary": block.summary, "open": block.open, "blocks": inside}
    if isinstance(block, Heading):
        return {"kind": kind, "text": block.text, "anchor": anchors.of(block.text)}
    if isinstance(block, Picture):
        return {"kind": kind, "anchor": anchors.of(block.title), **_embedded(block)}
    if isinstance(block, PrintedTable):
        return {"kind": kind, "anchor": anchors.of(block.title), **_printed(block)}
    anchor = {"anchor": anchors.of(block.title)} if isinstance(block, PeriodicTable) and block.title else {}
    return {"kind": kind, **anchor, **{name: getattr(block, name) for name in block.__dataclass_fields__}}


def _printed(table: PrintedTable) -> dict[str, Any]:
    return {
        "title": table.title,
        "header": table.header,
        "numeric": [is_numeric(table, column) for column in range(len(table.header))],
        "rows": table.rows,
        "notes": table.notes,
    }


def _embedded(picture: Picture) -> dict[str, str]:
    """A picture with its files in the page itself."""

    def uri(path: Path) -> str:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")

    text = {"title": picture.title, "caption": picture.caption, "alt": picture.alt}
    return text | {"light": uri(picture.light), "dark": uri(picture.dark)}
