"""Factors and their values in words, with units, for readers who do not know the code."""

from reports.ablation.effects import AVERAGED, LAST_STEP, WEIGHTS, Effect
from reports.ablation.study import Scalar
from reports.rounding import significant

# Parameter of a search space -> what it is, its unit ("" for none), and words for values that need some.
TERMS: dict[str, tuple[str, str, dict[Scalar, str]]] = {
    "num_layers": ("depth", "blocks", {}),
    "width": ("features of an atom", "", {}),
    "heads": ("attention heads", "", {}),
    "r0": ("decay width r0", "Å", {}),
    "a": ("slope of the decay width", "", {0: "0 (the same width everywhere)"}),
    "b": ("bound b of the decay width", "", {}),
    "rb0": ("decay width in reciprocal space", "Å", {}),
    "value_basis": ("value encoding", "basis functions", {0: "none"}),
    "lattice_range": (
        "lattice-sum range",
        "",
        {
            "adaptive": "adaptive (a box that follows the decay width)",
            "radius": "radius (all images within a radius)",
            "tolerance": "tolerance (a radius from a bound on what is left out)",
        },
    ),
    "minimum_box": ("smallest box of the lattice sum", "cells", {}),
    "radius": ("cutoff radius", "Å", {}),  # of a lattice sum or a graph
    "norm": (
        "normalisation",
        "",
        {
            "none": "none",
            "pre": "pre (before attention and feed-forward)",
            "post": "post (after attention and feed-forward)",
        },
    ),
    "decay": ("decay of attention", "", {}),
    "domain": (
        "domain of the lattice sum",
        "",
        {
            "real": "real space",
            "reci": "reciprocal space",
            "multihead": "half of the heads in each space",
        },
    ),
    "frames": ("frames", "", {"none": "none"}),
    "swa_epochs": ("averaged last epochs (SWA)", "epochs", {0: "0 (no averaging)"}),
    "ema_decay": ("exponential average of the weights", "", {0: "0 (none)"}),
    "lr": ("learning rate", "", {}),
    "batch_size": ("batch size", "crystals", {}),
    WEIGHTS: ("weights", "", {}),
}


def term(factor: str) -> str:
    """The factor in words; its own name where there are none."""
    return TERMS[factor][0] if factor in TERMS else factor


def named(factor: str) -> str:
    """The factor in words, with the name that a search space gives it where that differs."""
    if factor == WEIGHTS:
        return f"{WEIGHTS}: {LAST_STEP} instead of {AVERAGED}"
    return factor if term(factor) == factor else f"{term(factor)} [{factor}]"


def unit_of(factor: str) -> str | None:
    """The unit of a factor's numbers, where it has one."""
    return (TERMS[factor][1] or None) if factor in TERMS else None


def is_number(value: Scalar) -> bool:
    """Whether a value belongs on a numeric axis; switches do not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def plain(value: Scalar) -> str:
    """A value as a search space writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def in_words(factor: str, value: Scalar) -> str:
    """A value with its unit, or in words where a number or a keyword alone says little."""
    if factor in TERMS and not isinstance(value, bool) and value in TERMS[factor][2]:
        return TERMS[factor][2][value]
    if factor == "lattice_range" and is_number(value):
        return f"{value} (a box of ±{value} cells)"
    return with_unit(factor, value)


def with_unit(factor: str, value: Scalar) -> str:
    """A value with its unit, short."""
    unit = unit_of(factor)
    if not unit or not is_number(value):
        return plain(value)
    return f"{plain(value)} {unit.removesuffix('s') if value == 1 else unit}"


def change(effect: Effect) -> str:
    """What was changed: `Depth 1 block instead of 4 blocks`."""
    if effect.factor == WEIGHTS:
        return f"{WEIGHTS.capitalize()} of the {effect.value} instead of their {effect.reference}"
    value = in_words(effect.factor, effect.value)
    text = f"{term(effect.factor)} {value} instead of {with_unit(effect.factor, effect.reference)}"
    return text[:1].upper() + text[1:]


def signed(value: float, decimals: int | None = None) -> str:
    """A difference with its sign, and with a true minus."""
    text = significant(abs(value)) if decimals is None else f"{abs(value):,.{decimals}f}"
    if not text or not any(digit in text for digit in "123456789"):
        return text
    return f"{'+' if value > 0 else '−'}{text}"
