"""Crystals that a model cannot represent: how many of each split, and why."""

from collections import Counter
from dataclasses import dataclass

from reports.run_folder import FinalRun, RunFolder

SPLITS = {"train": "training", "val": "validation", "test": "test"}
MOST_REASONS = 5  # written out; run.json has the reason of every crystal


@dataclass(frozen=True)
class Unrepresented:
    """What one model of one search is without, for one target.

    `missing` and `totals`: split -> crystals without a prediction, and all crystals. `reasons`: with the
    number of crystals, the most frequent first.
    """

    experiment: str
    target: str
    model: str
    label: str
    missing: dict[str, int]
    totals: dict[str, int]
    reasons: tuple[tuple[str, int], ...]

    @property
    def sentence(self) -> str:
        """For people: counts and reasons."""
        parts = [
            f"{number:,} of {self.totals[split]:,} {SPLITS[split]}"
            for split, number in self.missing.items()
            if number
        ]
        counted = [f"{reason} ({number:,})" for reason, number in self.reasons[:MOST_REASONS]]
        if others := self.reasons[MOST_REASONS:]:
            counted.append(f"{len(others)} other reasons ({sum(number for _, number in others):,})")
        listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
        return (
            f"{self.label} cannot represent {listed} crystals: {'; '.join(counted)}. "
            "Its errors are over the others."
        )


def unrepresented(name: str, folder: RunFolder) -> list[Unrepresented]:
    """One entry per target and model that is without some crystal, from its first chosen final run."""
    found: dict[tuple[str, str], Unrepresented] = {}
    for final in folder.finals:
        record = final.record
        key = (record["target"], record["model"])
        if record["rank"] == 1 and record.get("unrepresented") and key not in found:
            found[key] = _entry(name, folder, final)
    return list(found.values())


def _entry(name: str, folder: RunFolder, final: FinalRun) -> Unrepresented:
    record = final.record
    split = folder.search["dataset"]["split"][record["target"]]
    reasons = Counter(record["unrepresented"].values()).most_common()
    return Unrepresented(
        experiment=name,
        target=record["target"],
        model=record["model"],
        label=record["label"],
        missing={part: int(record["missing"][part]) for part in SPLITS},
        totals={part: int(split[part]) for part in SPLITS},
        reasons=tuple(sorted(reasons, key=lambda pair: (-pair[1], pair[0]))),
    )
