"""The page as its reader has it: on a phone and a desk, light and dark, sorted, printed."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from browser import printed, run_in_page

from reports.answer import Answer
from reports.html import page
from reports.sections import Block, Code, Folded, Grid, Heading, Paragraph, Section

LONG = "a-word-that-is-longer-than-any-phone-is-wide-" * 6
ROWS = (
    ("beta", "0.071 ± 0.002", "trial 10"),
    ("alpha", "1,234", "trial 9"),
    ("gamma", "", "trial 100"),
    ("delta", "\N{MINUS SIGN}0.5", "trial 1"),
    ("", "0.9", ""),
)
SORT = """
const table = document.querySelector("table");
const column = (index) => [...table.tBodies[0].rows].map((row) => row.cells[index].textContent.trim());
const heads = [...table.tHead.rows[0].cells];
const seen = [];
for (const index of [0, 1, 2]) {
  for (let press = 0; press < 3; press++) {
    const button = heads[index].querySelector("button");
    if (press === 1) { button.focus(); document.activeElement.click(); } else button.click();
    seen.push([heads.map((head) => head.getAttribute("aria-sort")), column(index)]);
  }
}
return seen;
"""


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small page with everything that is hard for its frame."""
    header = ("Name", "Error", "Trial")
    wide = Grid("wide", tuple(f"column {n}" for n in range(30)), (True,) * 30, (("0.123456789",) * 30,) * 2)
    blocks: list[Block] = [
        Heading(LONG),
        Paragraph(LONG),
        Grid("sortable", header, (False, True, False), ROWS),
        wide,
        Code(LONG),
        Folded("more", (Heading("hidden heading"), Paragraph("hidden paragraph"))),
    ]
    sections = [Section(f"s{n}", f"Name {n}", f"Section {n}", blocks) for n in range(9)]
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page([LONG], [Answer(LONG, LONG)], sections), encoding="utf-8")
    return path


def test_tables_sort_and_say_so(frame: Path, tmp_path: Path) -> None:
    seen: list[Any] = run_in_page(frame, SORT, tmp_path)
    assert [state for state, _ in seen] == [
        [direction if at == index else "none" for at in range(3)]
        for index in range(3)
        for direction in ("ascending", "descending", "none")
    ]
    columns = [values for _, values in seen]
    given = [[row[index] for row in ROWS] for index in range(3)]
    assert columns[0] == ["alpha", "beta", "delta", "gamma", ""]  # what has no value comes last
    assert columns[1] == ["gamma", "delta", "beta", "alpha", ""]
    assert columns[3] == ["\N{MINUS SIGN}0.5", "0.071 ± 0.002", "0.9", "1,234", ""]
    assert columns[4] == ["1,234", "0.9", "0.071 ± 0.002", "\N{MINUS SIGN}0.5", ""]
    assert columns[6] == ["trial 1", "trial 9", "trial 10", "trial 100", ""]
    assert [columns[2], columns[5], columns[8]] == given  # the third time, as it was


def test_nothing_but_tables_scrolls_sideways_on_a_phone(
    frame: Path, quickstart: Path, tmp_path: Path
) -> None:
    script = """
    const tables = [...document.querySelectorAll(".scroll")];
    const wide = tables.filter((each) => each.scrollWidth > each.clientWidth);
    const root = document.documentElement;
    return [innerWidth, root.scrollWidth, wide.length, wide.every((each) => each.tabIndex === 0)];
    """
    for each in (frame, quickstart / "report" / "index.html"):
        width, content, wide, reachable = run_in_page(each, script, tmp_path, width=360)
        assert (width, content) == (360, 360)
        assert wide > 0
        assert reachable


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_light_or_dark_as_its_reader_likes(quickstart: Path, tmp_path: Path, dark: bool) -> None:
    script = """
    const style = getComputedStyle(document.body);
    const light = (colour) => colour.match(/\\d+/g).slice(0, 3).reduce((sum, each) => sum + Number(each), 0);
    const image = document.querySelector("picture img");
    const shown = image.currentSrc === image.src ? "light" : "dark";
    return [light(style.backgroundColor), light(style.color), shown, image.naturalWidth];
    """
    paper, ink, shown, width = run_in_page(quickstart / "report" / "index.html", script, tmp_path, dark=dark)
    assert (paper < ink) == dark
    assert shown == ("dark" if dark else "light")
    assert width > 1000


def test_contents_lead_to_every_section_and_heading_in_sight(frame: Path, tmp_path: Path) -> None:
    script = """
    const links = [...document.querySelectorAll(".contents a")].map((each) => each.getAttribute("href"));
    return [links, links.every((each) => document.getElementById(each.slice(1)) !== null)];
    """
    links, all_there = run_in_page(frame, script, tmp_path)
    assert all_there
    assert len(links) == len(set(links)) == 18
    assert not any("hidden" in link for link in links)


def test_paper_has_what_is_folded_and_no_navigation(frame: Path, tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (Debian's poppler-utils) is not installed")
    pdf = printed(frame, tmp_path / "page.pdf")
    done = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True)
    assert done.stdout.count("hidden paragraph") == 9
    assert "Contents" not in done.stdout
    assert "Name 3" not in done.stdout
