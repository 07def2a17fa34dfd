"""The LaTeX tables: they compile with pdfLaTeX, and print what was meant, whatever names hold."""

import shutil
import subprocess
from pathlib import Path

import pytest
from final_folders import edit_json
from run_folders import RunFolderMaker

from reports import published
from reports.latex import latex_text
from reports.latex_words import latex_words
from reports.load import load
from reports.mae_table import build
from reports.render import Cell, PrintedRow, PrintedTable, printed_tables

NASTY = r"a_b % & ± Å eV·Å⁻³ x² {y} $z$ #1 ~ ^ \cmd <i> αΒβΓ – “q” 中 ½ µ ≥ ∞ [x"
PAPER = r"""\documentclass{article}
\usepackage{booktabs,graphicx}
\begin{document}
\input{mae_table}
\end{document}
"""


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("log10_K_VRH", r"log10\_K\_VRH"),
        ("100 % & more", r"100 \% \& more"),
        ("0.07 ± 0.01", r"0.07 $\pm$ 0.01"),
        ("Å", "Å"),
        ("Å⁻³", "Å$^{-}$$^{3}$"),
        ("H₂O", "H$_{2}$O"),
        (r"\cmd{x}", r"\textbackslash{}cmd\{x\}"),
        ("αΓΑλµ", r"$\alpha$$\Gamma$$\mathrm{A}$$\lambda$$\mu$"),
        ("中", "U+4E2D"),
        ("−1", "$-$1"),
        ("[x", "{[}x"),
    ],
)
def test_text_is_set_as_it_is(text: str, latex: str) -> None:
    assert latex_words(text) == latex


def compiled(tex: str, folder: Path) -> str:
    """The text of the pages that pdfLaTeX makes of the tables; any error of LaTeX fails the test."""
    for program, package in (("pdflatex", "texlive-latex-recommended"), ("pdftotext", "poppler-utils")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} (Debian's {package}) is not installed")
    (folder / "mae_table.tex").write_text(tex, encoding="utf-8")
    (folder / "paper.tex").write_text(PAPER, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    said = done.stdout.decode("latin-1")
    assert done.returncode == 0, said[-1500:]
    assert "LaTeX Warning: Float too large" not in said
    shown = ["pdftotext", "-layout", "paper.pdf", "-"]
    return subprocess.run(shown, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_the_table_of_a_report_compiles(quickstart: Path, tmp_path: Path) -> None:
    text = compiled((quickstart / "report" / "mae_table.tex").read_text(encoding="utf-8"), tmp_path)
    for word in ("Crystalformer", "CGCNN", "853,505", "log10(GPa)", "Bulk modulus", "mp-elastic-2015", "±"):
        assert word in text


def test_nasty_names_compile(tmp_path: Path) -> None:
    run = RunFolderMaker(name=NASTY, label=NASTY, targets={"log10_K_VRH": NASTY}, seeds=(0,)).write(
        tmp_path / "run"
    )
    for record in run.glob("final/*cgcnn*/run.json"):
        edit_json(record, label=NASTY)
    results = load([run])
    tables = printed_tables(build(results, published.load()), results)
    text = compiled(latex_text(tables, "nothing"), tmp_path)
    assert "b % & ±" in text
    assert r"\cmd" in text


def test_a_table_that_is_wider_than_the_page_is_scaled(tmp_path: Path) -> None:
    names = tuple(f"column {n}" for n in range(20))
    row = PrintedRow("x", tuple(Cell("0.123456") for _ in names[1:]))
    text = compiled(latex_text([PrintedTable("wide", "Wide", names, (row,), ())], ""), tmp_path)
    assert "column 19" in text
    assert "Overfull" not in (tmp_path / "paper.log").read_text(encoding="latin-1")
