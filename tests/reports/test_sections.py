"""The blocks that sections are made of: each has its template, and none lets markup through."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from jinja2 import UndefinedError
from reports_page import Page

from reports.answer import Answer
from reports.html import page
from reports.picture import Picture
from reports.render import Cell, PrintedRow, PrintedTable
from reports.sections import (
    Block,
    Bullets,
    Caution,
    Code,
    ElementCell,
    Facts,
    Failure,
    Folded,
    Grid,
    Heading,
    Links,
    Paragraph,
    PeriodicTable,
    Section,
)

MARKUP = "<b onclick='x'>&amp;</b>"


def every_block(folder: Path) -> list[Block]:
    """One of each kind, its texts full of markup."""
    png = folder / "x.png"
    png.write_bytes(b"\x89PNG")
    row = PrintedRow(MARKUP, (Cell(MARKUP, MARKUP, bold=True),))
    return [
        Heading(MARKUP),
        Paragraph(MARKUP, strong=True),
        Caution(MARKUP, MARKUP),
        Bullets((MARKUP,), MARKUP),
        Grid(MARKUP, (MARKUP,), (False,), ((MARKUP,),), frozenset({MARKUP})),
        PrintedTable("key", MARKUP, (MARKUP, MARKUP), (row,), (MARKUP,)),
        Picture(MARKUP, MARKUP, MARKUP, png, png),
        PeriodicTable(MARKUP, MARKUP, MARKUP, (ElementCell(0, 0, MARKUP, 5, True, MARKUP),), MARKUP, MARKUP),
        Folded(MARKUP, (Heading(MARKUP), Folded(MARKUP, (Paragraph(MARKUP),)))),
        Links(MARKUP, ((MARKUP, MARKUP),)),
        Facts(((MARKUP, MARKUP),)),
        Failure(MARKUP, MARKUP),
        Code(MARKUP),
    ]


def test_every_kind_of_block_is_shown_and_escaped(tmp_path: Path) -> None:
    blocks = every_block(tmp_path)
    assert {type(block) for block in blocks} == set(get_args(Block))
    text = page([MARKUP], [Answer(MARKUP, MARKUP)], [Section("s", MARKUP, MARKUP, blocks)])
    assert MARKUP not in text
    assert "onclick" not in {name for _, attributes in Page(text).elements for name in attributes}
    # Name and title of the page, its eyebrow and heading, the answer, the section; then the blocks.
    assert Page(text).text.count(MARKUP) >= 6 + len(blocks)


def test_headings_of_one_name_have_anchors_of_their_own(tmp_path: Path) -> None:
    blocks = [Heading("CGCNN"), Heading("CGCNN"), Folded("more", (Heading("CGCNN"),))]
    text = page(["x"], [], [Section("search", "Search", "Search", blocks)])
    anchors = [attributes["id"] for attributes in Page(text).every("h3")]
    assert anchors == ["search-cgcnn", "search-cgcnn-2", "search-cgcnn-3"]


def test_a_block_without_a_template_is_an_error() -> None:
    @dataclass(frozen=True)
    class Unknown:
        text: str

    with pytest.raises(UndefinedError, match="Unknown"):
        page(["x"], [], [Section("s", "s", "s", [Unknown("x")])])  # type: ignore[list-item]
