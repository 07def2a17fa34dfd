"""Plain text that LaTeX sets as it is, with pdfTeX and its usual fonts."""

import unicodedata

LITERALLY = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#",
    "$": r"\$", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "[": "{[}",
}  # fmt: skip
MATHEMATICS = {
    "±": r"\pm", "×": r"\times", "·": r"\cdot", "−": "-", "≤": r"\leq", "≥": r"\geq", "≈": r"\approx",
    "√": r"\surd", "∞": r"\infty", "∂": r"\partial", "→": r"\to", "\N{MICRO SIGN}": r"\mu",
    "\N{OHM SIGN}": r"\Omega",
}  # fmt: skip
KNOWN = "Åå°–—‘’“”…§"  # beyond ASCII and Latin-1's letters: what the kernel of LaTeX declares


def latex_words(text: str) -> str:
    """`text` for LaTeX; a character that its fonts have not is given by its number, as U+4E2D."""
    return "".join(_character(each) for each in " ".join(text.split()))


def _character(each: str) -> str:
    if each in LITERALLY:
        return LITERALLY[each]
    if each.isascii() or each in KNOWN or (each.isalpha() and "À" <= each <= "ÿ"):
        return each
    if each in MATHEMATICS:
        return f"${MATHEMATICS[each]}$"
    words = unicodedata.name(each, "").split()
    if words[:1] == ["GREEK"] and len(words) == 4 and words[2] == "LETTER":
        return _greek(words[3].lower().replace("lamda", "lambda"), words[1] == "CAPITAL", each)
    kind, _, plain = unicodedata.decomposition(each).partition(" ")
    if kind in ("<super>", "<sub>") and plain:
        inside = "".join(chr(int(code, 16)) for code in plain.split()).replace("\N{MINUS SIGN}", "-")
        return f"${'^' if kind == '<super>' else '_'}{{{inside}}}$"
    return f"U+{ord(each):04X}"


def _greek(name: str, capital: bool, each: str) -> str:
    """As mathematics; capitals that look like Latin ones have no command of their own."""
    if not capital:
        return "$o$" if name == "omicron" else rf"$\{name}$"
    own = ("gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega")
    latin = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧ", "ABEZHIKMNOPTX", strict=True))
    return rf"$\{name.capitalize()}$" if name in own else rf"$\mathrm{{{latin[each]}}}$"
