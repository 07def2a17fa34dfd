"""One page of text: what moved the error and what did not, in sentences that carry their numbers."""

from dataclasses import dataclass

from reports.ablation.effects import WEIGHTS, Effect, effects, noise_of, reference_errors
from reports.ablation.study import Study
from reports.ablation.terms import change, in_words, signed, term
from reports.comparison import ALPHA
from reports.rounding import decimals_of_sd, p_value, significant, with_sd

MOST_NAMED = 3  # changes that a headline names in each direction, and reasons why runs ended


@dataclass(frozen=True)
class Finding:
    """The text on one study.

    Attributes:
        study, effects: what the text is about.
        headline: what was found, in a sentence.
        reference: what everything is compared with, and its error.
        moved, unmoved, untested: a sentence per change.
        notes: how to read it, and what is missing.
    """

    study: Study
    effects: tuple[Effect, ...]
    headline: str
    reference: str
    moved: tuple[str, ...]
    unmoved: tuple[str, ...]
    untested: tuple[str, ...]
    notes: tuple[str, ...]


def finding(study: Study) -> Finding:
    """The text on one study, from its effects."""
    found = tuple(effects(study))
    moved = sorted((each for each in found if each.moved), key=lambda each: -abs(each.mean))
    unmoved = [each for each in found if each.tested and not each.moved]
    return Finding(
        study=study,
        effects=found,
        headline=_headline(study, found, moved),
        reference=_reference(study),
        moved=tuple(_sentence(each, study.unit) for each in moved),
        unmoved=tuple(_sentence(each, study.unit) for each in unmoved),
        untested=tuple(_untested(each, study.unit) for each in found if not each.tested),
        notes=tuple(_notes(study, found)),
    )


def counted(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def decimals(effect: Effect) -> int:
    """Decimals at which the half-width of the interval, or a mean without one, keeps two digits or so."""
    half = (effect.high - effect.low) / 2
    scale = half if half > 0 else abs(effect.mean)
    return decimals_of_sd(scale) + 1 if scale > 0 else 4


def _headline(study: Study, found: tuple[Effect, ...], moved: list[Effect]) -> str:
    subject = f"{study.label}, {study.target}"
    tested = [each for each in found if each.tested]
    if not tested:
        return f"{subject}: nothing can be said yet, no change has two seeds in common with the reference."
    total = f"{len(moved)} of {counted(len(tested), 'change')}"
    if not moved:
        return f"{subject}: none of {counted(len(tested), 'change')} is shown to move the validation error."
    ways = [
        f"{word} by {_list(_first_few([_short(each) for each in some]))}"
        for word, some in (
            ("raised", [each for each in moved if each.mean > 0]),
            ("lowered", [each for each in moved if each.mean < 0]),
        )
        if some
    ]
    return f"{subject}: {total} moved the validation error: it is {_list(ways)}."


def _short(effect: Effect) -> str:
    if effect.factor == WEIGHTS:
        return f"not averaging the weights ({_percent(effect)})"
    return f"{term(effect.factor)} {in_words(effect.factor, effect.value)} ({_percent(effect)})"


def _first_few(parts: list[str]) -> list[str]:
    """Those with the largest effects; the text below has all."""
    more = len(parts) - MOST_NAMED
    return parts if more <= 0 else [*parts[:MOST_NAMED], f"{counted(more, 'further change')}"]


def _list(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _reference(study: Study) -> str:
    errors = reference_errors(study)
    values = "; ".join(f"{term(name)}: {in_words(name, value)}" for name, value in study.reference.items())
    if errors.empty:
        return f"Reference: {values}. No run of it came to its end, so nothing can be compared with it."
    value, sd = with_sd(float(errors.mean()), float(errors.std(ddof=1)))
    spread = f" ± {sd} (standard deviation over {counted(len(errors), 'seed')})" if sd else " (one seed)"
    return f"Reference: {values}. Its validation MAE is {_with_unit(value, study.unit)}{spread}."


def _with_unit(text: str, unit: str | None) -> str:
    return f"{text} {unit}" if unit else text


def _percent(effect: Effect) -> str:
    text = signed(effect.percent, 1) if effect.percent == effect.percent else ""
    return f"{text}\N{NO-BREAK SPACE}%" if text else "no percentage"


def _sentence(effect: Effect, unit: str | None) -> str:
    places = decimals(effect)
    numbers = (
        f"95\N{NO-BREAK SPACE}% interval {signed(effect.low, places)} to {signed(effect.high, places)}; "
        f"{_seeds(effect)}; Holm-corrected {p_value(effect.p)}"
    )
    if effect.moved:
        verb = "raised" if effect.mean > 0 else "lowered"
        size = _with_unit(f"{abs(effect.mean):,.{places}f}", unit)
        return f"{change(effect)} {verb} the error by {size} ({_percent(effect)}; {numbers})."
    alone = " The interval leaves out 0, but one of so many may do so by chance."
    text = (
        f"{change(effect)}: {_with_unit(signed(effect.mean, places), unit)} ({_percent(effect)}; {numbers})."
    )
    return text + (alone if effect.low * effect.high > 0 else "")


def _seeds(effect: Effect) -> str:
    return f"n = {effect.n}" + ("" if effect.n == effect.planned else f" of {effect.planned} seeds")


def _untested(effect: Effect, unit: str | None) -> str:
    if not effect.n:
        return f"{change(effect)}: no seed with a complete run of both sides."
    difference = _with_unit(signed(effect.mean), unit)
    return (
        f"{change(effect)}: {difference} ({_percent(effect)}) with one seed alone; the spread "
        "between trainings is unknown."
    )


def _notes(study: Study, found: tuple[Effect, ...]) -> list[str]:
    tested = [each for each in found if each.tested]
    notes = [
        "Differences are validation MAE with the change minus without it, of runs with the same seed: "
        "above 0, the change made the model worse.",
    ]
    if tested:
        notes.append(
            "Interval and p (two-sided) are those of Student's t with one variance for all complete runs of "
            f"the design, beside what each configuration and each seed have in common{_spread(study)}. p is "
            f"corrected for the {len(tested)} tested changes together (Holm), an interval stands for its "
            f"change alone. Moved means corrected p < {ALPHA}. All of this is about these validation "
            "crystals: what varies is the training, not the crystals."
        )
        notes.append(
            "Not shown is not the same as no effect: a wide interval leaves room for one. With "
            f"{counted(max(each.n for each in tested), 'seed')} only large, steady differences can be shown."
        )
    if study.factorial:
        notes.append(
            "Factorial design: main effects. For each seed, the difference is the mean over all combinations "
            "of the other factors that have both sides; an interaction between factors does not show here."
        )
    if any(each.factor == WEIGHTS for each in found):
        where = "of all combinations" if study.factorial else "of the reference"
        notes.append(
            f"The row {WEIGHTS} compares two errors of the same runs ({where}): with the weights of the last "
            "step, and with their average over the last epochs or steps, which is what is kept."
        )
    return notes + _unfinished(study)


def _spread(study: Study) -> str:
    """The noise, and that of the calmest and the wildest configuration: one variance is to fit them all."""
    found = noise_of(study)
    if not found.degrees:
        return ""
    alone = found.left.groupby(list(study.levels)).std()
    own = f"{significant(alone.min())} to {significant(alone.max())} for single configurations"
    sd = _with_unit(significant(found.variance**0.5), study.unit)
    return f" (standard deviation {sd}, {own}; {found.degrees} degrees of freedom)"


def _unfinished(study: Study) -> list[str]:
    """What is missing, by state; nothing where all runs are complete."""
    complete = len(study.complete)
    if complete == study.planned:
        return [f"All {counted(complete, 'run')} of the design are complete."]
    states = study.trials["state"].value_counts(sort=False)
    parts = [
        f"{number:,} {state}{_reasons(study, str(state))}"
        for state, number in states.items()
        if state != "complete"
    ]
    if (begun := len(study.trials)) < study.planned:
        parts.append(f"{study.planned - begun:,} not begun")
    if broken := int(states.get("complete", 0)) - complete:
        parts.append(f"{broken:,} without an error")
    return [
        f"{complete:,} of {counted(study.planned, 'run')} of the design are complete; {', '.join(parts)}. "
        "Only complete runs are compared, in pairs of the same seed."
    ]


def _reasons(study: Study, state: str) -> str:
    """Why the trials of a state ended, in parentheses; trials.parquet has all reasons."""
    ended = study.trials.loc[study.trials["state"] == state, "ended"].dropna()
    reasons = [reason for reason in dict.fromkeys(map(str, ended)) if reason]
    more = [f"{counted(len(reasons) - MOST_NAMED, 'further reason')}"] if len(reasons) > MOST_NAMED else []
    return f" ({'; '.join([*reasons[:MOST_NAMED], *more])})" if reasons else ""
