"""The templates of all pages, and what they are given of tables and pictures."""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.figures import Picture
from reports.render import PrintedTable, is_numeric

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


def printed(table: PrintedTable) -> dict[str, Any]:
    """A table as the templates take it."""
    numeric = [is_numeric(table, column) for column in range(len(table.header))]
    return {
        "title": table.title,
        "header": table.header,
        "numeric": numeric,
        "rows": table.rows,
        "notes": table.notes,
    }


def embedded(picture: Picture) -> dict[str, str]:
    """A picture with its files in the page itself."""

    def uri(path: Path) -> str:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")

    text = {"title": picture.title, "caption": picture.caption, "alt": picture.alt}
    return text | {"light": uri(picture.light), "dark": uri(picture.dark)}
