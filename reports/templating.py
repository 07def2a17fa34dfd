"""The template of all pages, and what it is given of sections."""

import base64
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
        "headings": anchors.given,
    }


class Anchors:
    """Anchors of the headings of a section, each given once: `given` are pairs of anchor and heading."""

    def __init__(self, section: str) -> None:
        self._section = section
        self.given: list[tuple[str, str]] = []

    def of(self, heading: str) -> str:
        """A new anchor for a heading."""
        anchor = f"{self._section}-{slug(heading).lower()}"
        taken = {each for each, _ in self.given}
        if anchor in taken:
            anchor = next(each for n in range(2, len(taken) + 3) if (each := f"{anchor}-{n}") not in taken)
        self.given.append((anchor, heading))
        return anchor


def _block(block: Block, anchors: Anchors) -> dict[str, Any]:
    kind = type(block).__name__
    if isinstance(block, Folded):
        return {
            "kind": kind,
            "summary": block.summary,
            "open": block.open,
            "blocks": [_block(each, anchors) for each in block.blocks],
        }
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
