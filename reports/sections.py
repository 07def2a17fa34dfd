"""What the page is made of: sections, each a title and blocks in the order in which they are read.

A report adds a section by a function `(results, table, figures) -> Section | None` in the list `SECTIONS`
of `reports.contents`. The templates know the blocks, so that a section needs no template of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from reports.picture import Picture
from reports.render import PrintedTable


@dataclass(frozen=True)
class Heading:
    """A heading inside a section; the table of contents leads to it."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Plain text; `strong`: what a reader in a hurry should see."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Caution:
    """What keeps a reader from a wrong conclusion: `what` in bold, then why."""

    what: str
    why: str


@dataclass(frozen=True)
class Bullets:
    """Sentences under a small heading, which may be absent."""

    sentences: tuple[str, ...]
    heading: str = ""


@dataclass(frozen=True)
class Grid:
    """A plain table: `numeric` says which columns are set flush right, `wrap` names those whose cells are
    sentences.
    """

    caption: str
    header: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    wrap: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Folded:
    """Blocks that are out of the way until they are asked for."""

    summary: str
    blocks: tuple["Block", ...]
    open: bool = False


@dataclass(frozen=True)
class Links:
    """Files of the report that hold the same: `links` are name of the file, words."""

    text: str
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Facts:
    """Names and their values; pairs without a value are left out."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Failure:
    """Something that went wrong: what, and why."""

    subject: str
    reason: str


@dataclass(frozen=True)
class Code:
    """Lines to be copied, or a file as it is."""

    text: str


@dataclass(frozen=True)
class ElementCell:
    """One element: `share` in per cent of the colour scale, None where it has no value; `few`: of little
    weight; `words`: its value, for people who point at it.
    """

    column: int
    row: int
    symbol: str
    share: int | None
    few: bool
    words: str


@dataclass(frozen=True)
class PeriodicTable:
    """Elements in colours; `low` and `high` are the ends of the scale, `alt` says in words what it shows.
    Without a title it has no heading.
    """

    title: str
    caption: str
    alt: str
    cells: tuple[ElementCell, ...]
    low: str
    high: str


Block = (
    Heading | Paragraph | Caution | Bullets | Grid | PrintedTable | Picture | PeriodicTable | Folded | Links
    | Facts | Failure | Code
)  # fmt: skip


@dataclass(frozen=True)
class Section:
    """A section of the page.

    `key` is its anchor, `name` a word or two for the navigation. `files`: name -> text of what is written
    beside index.html.
    """

    key: str
    name: str
    title: str
    blocks: Sequence[Block]
    files: dict[str, str] = field(default_factory=dict)
