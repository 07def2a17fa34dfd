"""What a search will have of a published data set that is not prepared yet: the numbers of the catalogue."""

from dataclasses import dataclass
from pathlib import Path

from crystalformer.data.catalog import DATASETS, Dataset
from crystalformer.data.official import FOLDS
from crystalformer.sources.convert import prepared
from suite.space.data_block import DataSpec
from suite.space.search_space import SearchSpace
from suite.space.split_block import SplitSpec


@dataclass(frozen=True)
class Expected:
    """Crystals in all, and train, validation and test crystals of each target where they are known."""

    crystals: int
    counts: dict[str, dict[str, int]]


def expected(space: SearchSpace, root: Path) -> Expected | None:
    """The expected numbers, or None: the data set is prepared, or can be without a download."""
    data = space.data
    dataset = DATASETS.get(data.dataset) if isinstance(data.dataset, str) else None
    if dataset is None or dataset.bundle is not None:
        return None
    if prepared(dataset.name, root, data.max_rejected, data.targets, data.cell) is not None:
        return None
    counts = {target: _counts(dataset, target, rule, data) for target, rule in data.split.items()}
    return Expected(dataset.crystals, {target: known for target, known in counts.items() if known})


def _counts(dataset: Dataset, target: str, rule: SplitSpec, data: DataSpec) -> dict[str, int]:
    counts = _whole_counts(dataset, target, rule, data.subset)
    for part, drawn in (("train", data.train_crystals), ("val", data.val_crystals)):
        if counts and drawn is not None:
            counts[part] = min(counts[part], drawn)
    return counts


def _whole_counts(dataset: Dataset, target: str, rule: SplitSpec, subset: int | None) -> dict[str, int]:
    crystals = dataset.crystals_with(target)
    if rule.kind == "fractions":
        drawn = crystals if subset is None else subset
        return {label: int(getattr(rule, label) * drawn) for label in ("train", "val", "test")}
    if rule.kind == "groups":  # they are known once the crystals are
        return {}
    if rule.lists is not None:
        return dict(zip(("train", "val", "test"), (len(listed.ids) for listed in rule.lists), strict=True))
    if subset is not None:  # how a subset falls on published parts is known once it is drawn
        return {}
    if rule.fold is None:
        return dict(dataset.splits[target].counts)
    test = crystals // FOLDS + (rule.fold < crystals % FOLDS)
    val = int(rule.val * (crystals - test))
    return {"train": crystals - test - val, "val": val, "test": test}
