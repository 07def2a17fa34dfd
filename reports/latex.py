"""The printed tables as LaTeX."""

from reports.latex_words import latex_words
from reports.render import Cell, PrintedTable, is_numeric


def latex_text(tables: list[PrintedTable], empty: str) -> str:
    """All tables as LaTeX floats with booktabs rules; the sentence `empty` where there is none."""
    body = "\n".join(_latex_table(table.on_paper) for table in tables) or f"{latex_words(empty)}\n"
    return f"% Needs \\usepackage{{booktabs,graphicx}} in the preamble.\n{body}"


def _latex_table(table: PrintedTable) -> str:
    # Sources are sentences; as a paragraph column they wrap.
    columns = "".join(
        r"p{0.3\linewidth}" if name == "Source" else "r" if is_numeric(table, column) else "l"
        for column, name in enumerate(table.header)
    )
    lines = [
        r"\begin{table}",
        r"\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{latex_words(table.title)}.}}",
        rf"\label{{tab:mae-{table.key}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",  # no wider than the text
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *_latex_header(table),
        r"\midrule",
        *(
            " & ".join([latex_words(row.label), *(_latex_cell(cell) for cell in row.cells)]) + r" \\"
            for row in table.rows
        ),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\par\smallskip",
        r"\begin{minipage}{\linewidth}\footnotesize",
        " ".join(latex_words(note) for note in table.notes),
        r"\end{minipage}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_header(table: PrintedTable) -> list[str]:
    """Names on one line, units on a second: side by side they would be wider than a page."""
    parts = [name.split(" (", 1) for name in table.header]
    lines = [[part[0] for part in parts]]
    if any(len(part) > 1 for part in parts):
        lines.append([f"({part[1]}" if len(part) > 1 else "" for part in parts])
    return [" & ".join(latex_words(text) for text in line) + r" \\" for line in lines]


def _latex_cell(cell: Cell) -> str:
    number, sd = (
        cell.text.replace(",", "{,}"),
        cell.sd.replace(",", "{,}"),
    )  # a bare comma in math is set with a space
    value = rf"\mathbf{{{number}}}" if cell.bold else number
    if cell.sd:
        return rf"${value} \pm {sd}$"
    return f"${value}$" if cell.bold else latex_words(cell.text)
