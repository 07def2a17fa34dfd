"""The cell of the table that a user names -> the final runs behind it."""

from difflib import get_close_matches

from reports.chain import Traced
from reports.run_folder import ReportError, RunFolder


def select(folder: RunFolder, model: str, target: str, seed: int | None = None) -> Traced:
    """The runs behind a cell: those of the configuration that validation chose, in order of their seeds.

    Raises:
        ReportError: the folder has no such model, target or seed; the message names the closest.
    """
    _known("--target", target, folder.targets)
    _known("--model", model, (*folder.search["models"], *folder.floors))
    finals = sorted(
        (
            final
            for final in folder.finals
            if (final.record["model"], final.record["target"], final.record["rank"]) == (model, target, 1)
        ),
        key=lambda final: int(final.record["seed"]),
    )
    if not finals:
        raise ReportError(
            f"{folder.path}: {model} has no complete final run for {target}, so no cell to trace"
        )
    if seed is not None:
        seeds = [str(final.record["seed"]) for final in finals]
        _known("--seed", str(seed), tuple(seeds))
        finals = [finals[seeds.index(str(seed))]]
    return Traced(folder, tuple(finals))


def _known(option: str, value: str, names: tuple[str, ...]) -> None:
    if value not in names:
        close = get_close_matches(value, names, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ReportError(f"{option}: expected one of {', '.join(names)}, got {value!r}{hint}")
