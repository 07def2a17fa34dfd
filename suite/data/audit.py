"""`audit`: what is in a data set, and what may be wrong with it; numbers only, `audit_tables` shows them."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.catalog import DATASETS
from crystalformer.data.duplicates import RULE, duplicates
from crystalformer.data.splits import LABELS, Split
from crystalformer.sources.convert import Conversion, convert
from suite.space.data_block import DataSpec
from suite.space.node import Node
from suite.space.split_block import SplitSpec, read_splits
from suite.space.yaml_file import parse_yaml
from suite.splitting import split_of

ANY = 10**9  # rows that may be left out: an audit stops at nothing
BINS = 12
FAR = 5.0  # standard deviations
QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)


def audit(dataset: str, root: Path, split: str | None, cell: str, far: float = FAR) -> dict[str, Any]:
    """Everything that `python -m suite.data audit` says, as JSON.

    Args:
        dataset: a name of the catalogue, or a path.
        root: where prepared data sets lie; it is prepared if it is not there.
        split: the rule, as `data.split` in a search space has it; None: the published one, the labels of the
            table, or else fractions.
        cell: which cells are stored.
        far: standard deviations from the mean beyond which a value is an outlier.

    Raises:
        ValueError: no such data set, or a split that is none.
    """
    name: str | Path = dataset if dataset in DATASETS else Path(dataset)
    converted = convert(name, root, ANY, cell=cell)
    store = converted.store
    targets = tuple(store.targets)
    rules = _rules(name, split, targets, store)
    data = DataSpec(name, targets, rules, None, ANY, cell)
    return {
        "name": store.name,
        "digest": store.digest,
        "cell": store.cell,
        "crystals": len(store),
        "atoms": int(store.offsets[-1]),
        "disordered": len({int(row) for row in np.searchsorted(store.offsets, store.mixed[:, 0], "right")}),
        "rejected_rows": converted.rejected_rows,
        "rejected_values": len(converted.rejections) - converted.rejected_rows,
        "report": None if converted.report is None else str(converted.report),
        "ignored_columns": store.manifest["source"].get("ignored_columns", {}),
        "atoms_per_cell": _distribution(store.sizes.astype(float)),
        "elements": _elements(store),
        "duplicates": _own_duplicates(store),
        "targets": {target: _target(store, target, far) for target in targets},
        "splits": {target: _split(data, converted, target) for target in targets},
    }


def _rules(
    name: str | Path, split: str | None, targets: Sequence[str], store: ArrayStore
) -> dict[str, SplitSpec]:
    if split is not None:
        node = parse_yaml(split, lambda line: "--split", "split") or Node(None, "--split", "split")
        return read_splits(node, tuple(targets), name, Path.cwd())
    if isinstance(name, str):
        official = {t: s.rule for t, s in DATASETS[name].splits.items()}
        return {target: _published(official.get(target)) for target in targets}
    labelled = any(label is not None for label in store.split_labels)
    return dict.fromkeys(targets, SplitSpec("column") if labelled else SplitSpec())


def _published(rule: str | None) -> SplitSpec:
    if rule is None:
        return SplitSpec()
    return SplitSpec("fold", fold=0) if rule == "folds" else SplitSpec("official")


def _distribution(values: np.ndarray) -> dict[str, Any]:
    counts, edges = np.histogram(values, BINS)
    return {
        "count": len(values),
        "mean": float(values.mean()),
        "sd": float(values.std()),
        "quantiles": dict(zip(map(str, QUANTILES), np.quantile(values, QUANTILES).tolist(), strict=True)),
        "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
    }


def _target(store: ArrayStore, target: str, far: float) -> dict[str, Any]:
    values = store.targets[target]
    present = np.flatnonzero(~np.isnan(values))
    result = {"unit": store.units[target], "missing": len(values) - len(present)}
    some = values[present]
    result |= _distribution(some)
    distance = (some - some.mean()) / (some.std() or math.inf)
    outliers = np.flatnonzero(np.abs(distance) > far)
    order = outliers[np.argsort(-np.abs(distance[outliers]), kind="stable")]
    return result | {
        "outliers_beyond_sd": far,
        "outliers": [
            {"id": store.ids[present[i]], "value": float(some[i]), "sd": float(distance[i])} for i in order
        ],
    }


def _elements(store: ArrayStore) -> dict[str, int]:
    """Atomic number -> crystals that hold the element; those of mixed sites count."""
    crystal = np.repeat(np.arange(len(store)), store.sizes)
    mixed = np.searchsorted(store.offsets, store.mixed[:, 0], side="right") - 1
    pairs = np.unique(
        np.concatenate([crystal * 256 + store.numbers, mixed * 256 + store.mixed[:, 1].astype(np.int64)])
    )
    return {str(z): count for z, count in sorted(Counter((pairs % 256).tolist()).items())}


def _own_duplicates(store: ArrayStore) -> dict[str, Any]:
    found = duplicates(store, store.ids, store.ids)
    return {
        "rule": RULE,
        "near": len(found.near),
        "same_cell": len(found.same_cell),
        "same_cell_ids": list(found.same_cell),
    }


def _split(data: DataSpec, converted: Conversion, target: str) -> dict[str, Any]:
    try:
        split = split_of(data, converted, target)
    except ValueError as error:  # a data set too small, for example
        return {"error": str(error)}
    store = converted.store
    shared = {
        f"{part} in {seen}": _shared(store, getattr(split, seen), getattr(split, part))
        for part, seen in (("val", "train"), ("test", "train"), ("test", "val"))
    }
    return {
        "rule": split.rule,
        "hash": split.hash,
        **split.counts,
        "shared": shared,
        "elements_not_in_train": _unseen(store, split),
        "values": {label: _moments(store, target, getattr(split, label)) for label in LABELS},
    }


def _shared(store: ArrayStore, seen: Sequence[str], asked: Sequence[str]) -> dict[str, Any]:
    found = duplicates(store, seen, asked)
    return {"near": len(found.near), "same_cell": len(found.same_cell), "ids": list(found.near)}


def _moments(store: ArrayStore, target: str, ids: Sequence[str]) -> dict[str, float]:
    values = store.targets[target][store.rows(ids)]
    return {"mean": float(values.mean()), "sd": float(values.std())}


def _unseen(store: ArrayStore, split: Split) -> dict[str, dict[str, list[str]]]:
    """Of validation and test: atomic number -> ids of the crystals with an element that training lacks."""
    rows = {label: store.rows(getattr(split, label)) for label in LABELS}
    known = {z for row in rows["train"].tolist() for z in _numbers(store, row)}
    result: dict[str, dict[str, list[str]]] = {}
    for label in ("val", "test"):
        unseen: dict[int, list[str]] = {}
        for row in rows[label].tolist():
            for z in _numbers(store, row) - known:
                unseen.setdefault(z, []).append(store.ids[row])
        result[label] = {str(z): ids for z, ids in sorted(unseen.items())}
    return result


def _numbers(store: ArrayStore, row: int) -> set[int]:
    start, stop = store.offsets[row], store.offsets[row + 1]
    mixed = slice(*np.searchsorted(store.mixed[:, 0], [start, stop]))
    return {*store.numbers[start:stop].tolist(), *store.mixed[mixed, 1].astype(int).tolist()}
