"use strict";
// Tables sort by a click on a heading, or by Enter or the space bar on it: up, down, and as they were.
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };
const words = new Intl.Collator("en", { numeric: true });

/** The number that a cell of a numeric column begins with, as in "1,234", "0.071 ± 0.002", "3 of 4", "−0.1". */
function number(text) {
  const found = text.replaceAll(",", "").replaceAll("\u2212", "-").match(/[-+]?\d*\.?\d+(e[-+]?\d+)?/i);
  return found ? Number(found[0]) : NaN;
}

/** Rows by one column; those without a value come last in either direction. */
function sorted(rows, column, direction, numeric) {
  const value = (row) => row.cells[column].textContent.trim();
  const missing = (text) => (numeric ? Number.isNaN(number(text)) : text === "");
  const sign = direction === "ascending" ? 1 : -1;
  return [...rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    return sign * (numeric ? number(a) - number(b) : words.compare(a, b));
  });
}

for (const table of document.querySelectorAll("table")) {
  const [body] = table.tBodies;
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  if (rows.length < 2) continue;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const direction = NEXT[head.getAttribute("aria-sort")];
      for (const each of heads) each.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", direction);
      const numeric = head.classList.contains("n");
      body.append(...(direction === "none" ? rows : sorted(rows, column, direction, numeric)));
    });
  });
}
