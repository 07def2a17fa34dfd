"""The printed tables as LaTeX."""

from reports.render import Cell, PrintedTable, is_numeric


def latex_text(tables: list[PrintedTable], empty: str) -> str:
    """All tables as LaTeX floats with booktabs rules; the sentence `empty` where there is none."""
    body = "\n".join(_latex_table(table.on_paper) for table in tables) or f"{_latex(empty)}\n"
    return f"% Needs \\usepackage{{booktabs}} in the preamble.\n{body}"


def _latex_table(table: PrintedTable) -> str:
    # Sources are sentences; as a paragraph column they wrap.
    columns = "".join(
        r"p{0.3\linewidth}" if name == "Source" else "r" if is_numeric(table, column) else "l"
        for column, name in enumerate(table.header)
    )
    lines = [
        r"\begin{table}",
        r"\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{_latex(table.title)}.}}",
        rf"\label{{tab:mae-{table.key}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *_latex_header(table),
        r"\midrule",
        *(
            " & ".join([_latex(row.label), *(_latex_cell(cell) for cell in row.cells)]) + r" \\"
            for row in table.rows
        ),
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\smallskip",
        r"\footnotesize " + " ".join(_latex(note) for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_header(table: PrintedTable) -> list[str]:
    """Names on one line, units on a second: side by side they would be wider than a page."""
    parts = [name.split(" (", 1) for name in table.header]
    lines = [[part[0] for part in parts]]
    if any(len(part) > 1 for part in parts):
        lines.append([f"({part[1]}" if len(part) > 1 else "" for part in parts])
    return [" & ".join(_latex(text) for text in line) + r" \\" for line in lines]


def _latex_cell(cell: Cell) -> str:
    number, sd = (
        cell.text.replace(",", "{,}"),
        cell.sd.replace(",", "{,}"),
    )  # a bare comma in math is set with a space
    value = rf"\mathbf{{{number}}}" if cell.bold else number
    if cell.sd:
        return rf"${value} \pm {sd}$"
    return f"${value}$" if cell.bold else _latex(cell.text)


LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#",
    "$": r"\$",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$",
    "[": "{[}",
}  # fmt: skip


def _latex(text: str) -> str:
    """Plain text that LaTeX sets as it is."""
    return "".join(LATEX.get(character, character) for character in " ".join(text.split()))
