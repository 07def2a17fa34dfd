"""From the rule of a split to lists of ids: what `data.split` means for a converted data set."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.catalog import DATASETS, Dataset
from crystalformer.data.group_splits import by_groups
from crystalformer.data.official import fold_split, official_split
from crystalformer.data.splits import Split, fractions, from_column, labelled_ids, subset
from crystalformer.sources.convert import Conversion, allowed_count
from crystalformer.sources.groups import group_names
from suite.space.data_block import DataSpec
from suite.space.split_block import SplitSpec


def split_of(data: DataSpec, converted: Conversion, target: str) -> Split:
    """The train, validation and test ids of a target, by the rule that `data` has for it.

    Raises:
        ValueError: the target lacks for more crystals than may be left out, or the rule does not fit the
        data.
    """
    split, seed = _whole_split(data, converted, target), data.split[target].seed
    split = _fewer(split, "train", data.train_crystals, seed)
    return _fewer(split, "val", data.val_crystals, seed)


def _fewer(split: Split, part: Literal["train", "val"], count: int | None, seed: int) -> Split:
    if count is None:
        return split
    try:
        return split.fewer(part, count, seed)
    except ValueError as error:
        raise ValueError(f"data.{part}_crystals: {error}") from error


def _whole_split(data: DataSpec, converted: Conversion, target: str) -> Split:
    rule, store = data.split[target], converted.store
    ids = labelled_ids(store, target)
    published = DATASETS.get(store.name) if isinstance(data.dataset, str) else None
    if published is None or published.bundle is not None:
        _check_missing(data, converted, target, ids)
    drawn = data.subset
    if published is not None and rule.kind in ("official", "fold"):
        return _published(published, store, target, rule, drawn)
    if drawn is not None:
        try:
            ids = subset(ids, drawn, rule.seed)
        except ValueError as error:
            raise ValueError(f"data.subset: {error} that have the target {target}") from error
    if rule.kind == "fractions":
        split = fractions(ids, rule.train, rule.val, rule.test, rule.seed)
    elif rule.kind == "column":
        split = from_column(store, ids)
    elif rule.kind == "lists":
        split = _listed(data, converted, ids, rule)
    elif rule.kind == "groups":
        assert rule.group is not None
        assert rule.val_groups is not None
        assert rule.test_groups is not None
        groups = group_names(store, rule.group)
        split = by_groups(ids, groups, rule.group, rule.val_groups, rule.test_groups, rule.seed)
    else:
        raise AssertionError(f"no split of the kind {rule.kind}")
    return _drawn_of(split, drawn, rule)


def _published(dataset: Dataset, store: ArrayStore, target: str, rule: SplitSpec, drawn: int | None) -> Split:
    """The published split or fold, and of it so many crystals."""
    if rule.fold is None:
        split = official_split(dataset, store, target)
    else:
        split = fold_split(dataset, store, target, rule.fold, rule.val, rule.seed)
    if drawn is None:
        return split
    try:
        return _drawn_of(split.thinned(drawn, rule.seed), drawn, rule)
    except ValueError as error:
        raise ValueError(f"data.subset: {error}") from error


def _drawn_of(split: Split, drawn: int | None, rule: SplitSpec) -> Split:
    if drawn is None:
        return split
    return replace(split, rule=f"{split.rule}, of {drawn} crystals drawn with seed {rule.seed}")


def _listed(data: DataSpec, converted: Conversion, ids: Sequence[str], rule: SplitSpec) -> Split:
    """The lists of ids without those that have no crystal or no value, if they may be left out."""
    assert rule.lists is not None
    present, allowed = set(ids), allowed_count(data.max_rejected, len(converted.store))
    absent = [id_ for listed in rule.lists for id_ in listed.ids if id_ not in present]
    if len(absent) > allowed:
        named = ", ".join(map(repr, absent[:3])) + (", ..." if len(absent) > 3 else "")
        raise ValueError(
            f"data.split: {len(absent)} listed ids have no crystal with a value: {named}; "
            f"expected at most data.max_rejected = {allowed}"
        )
    train, val, test = ([id_ for id_ in listed.ids if id_ in present] for listed in rule.lists)
    sources = ", ".join(listed.source for listed in rule.lists)
    return Split.of(train, val, test, rule=f"ids listed in {sources}")


def _check_missing(data: DataSpec, converted: Conversion, target: str, ids: Sequence[str]) -> None:
    """A target may only lack where the search space says how many crystals may be left out.

    With a split by column or by lists, crystals without a label or in no list take no part and need no
    target.
    """
    store = converted.store
    wanted = set(store.ids)
    rule = data.split[target]
    if rule.lists is not None:
        wanted &= {id_ for listed in rule.lists for id_ in listed.ids}
    if rule.kind == "column":
        wanted = {id_ for id_, label in zip(store.ids, store.split_labels, strict=True) if label is not None}
    missing = len(wanted - set(ids))
    rejected = converted.rejected_rows
    allowed = allowed_count(data.max_rejected, len(store) + rejected)
    if missing and missing + rejected > allowed:
        raise ValueError(
            f"data.target: {target} is missing for {missing} of {len(store)} crystals of {store.name}: "
            f"expected at most data.max_rejected = {allowed}; "
            f"to leave them out, set data.max_rejected to {missing + rejected} or more"
        )
