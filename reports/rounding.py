"""Numbers as they are printed: no more digits than their uncertainty supports."""

import math

# Beyond this many decimals a standard deviation is rounding noise of float64 sums.
MOST_DECIMALS = 8


def decimals_of_sd(sd: float) -> int:
    """Decimals at which a standard deviation keeps one significant digit, or two where the first is a 1.

    With three seeds a standard deviation is itself uncertain by about 40 %: more digits would say nothing.
    """
    exponent = math.floor(math.log10(sd))
    digits = 2 if f"{sd:.1e}"[0] == "1" else 1
    return min(max(0, digits - 1 - exponent), MOST_DECIMALS)


def significant(value: float, digits: int = 3) -> str:
    """`value` with so many significant digits (more before the point), commas at thousands, never 1e-5."""
    if not math.isfinite(value):
        return ""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def with_sd(value: float, sd: float) -> tuple[str, str]:
    """Value and standard deviation, rounded to the same decimals; ("0.0712", "") where sd is unknown
    (NaN) or zero.
    """
    if not math.isfinite(value):
        return "", ""
    if not math.isfinite(sd) or sd == 0:
        return significant(value), ""
    decimals = decimals_of_sd(sd)
    return f"{value:,.{decimals}f}", f"{sd:,.{decimals}f}"


def between(low: float, high: float) -> str:
    """An interval with the decimals that a quarter of its width supports, about one standard deviation of a
    95 % interval; nothing where a bound is missing.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    decimals = decimals_of_sd((high - low) / 4) if high > low else None
    texts = [significant(value) if decimals is None else f"{value:,.{decimals}f}" for value in (low, high)]
    return f"{texts[0]} to {texts[1]}"


def count(value: object) -> str:
    """A number without decimals, thousands separated by commas; nothing where it is missing (None, NaN)."""
    return f"{round(value):,}" if isinstance(value, int | float) and math.isfinite(value) else ""


def p_value(p: float) -> str:
    """`p = 0.012`, or `p < 0.001` for anything smaller."""
    return "p < 0.001" if p < 0.001 else f"p = {significant(p, 2)}"
