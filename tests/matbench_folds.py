"""Five runs' worth of test predictions for a task of Matbench: its ids are numbers, its folds are known."""

from pathlib import Path

import numpy as np

from crystalformer.data.catalog import DATASETS
from crystalformer.data.official import FOLDS, Roster, fold_ids
from suite.exporting.ensembles import RunPredictions

NAME = "matbench-jdft2d"


def fold_predictions() -> list[RunPredictions]:
    """Random predictions of every fold, in a mixed order."""
    dataset, rng = DATASETS[NAME], np.random.default_rng(0)
    (target,) = dataset.targets
    digits = len(str(dataset.crystals))
    ids = [f"{dataset.parts[0].id_key}-{number:0{digits}d}" for number in range(1, dataset.crystals + 1)]
    roster = Roster(ids, [None] * len(ids), {target: np.zeros(len(ids))})
    found = []
    for fold in range(FOLDS):
        tested = fold_ids(dataset, roster, target, fold)
        true = rng.normal(100, 30, len(tested))
        found.append(
            RunPredictions(
                folder=Path(f"runs/fold-{fold}"),
                target=target,
                model="cgcnn",
                label="CGCNN",
                dataset={"name": NAME, "digest": "0" * 64},
                split_hash="1" * 64,
                config={"model": {"node_width": 64}, "train": {}},
                true=dict(zip(tested, true.tolist(), strict=True)),
                predicted=dict(zip(tested, (true + rng.normal(0, 5, len(tested))).tolist(), strict=True)),
            )
        )
    return [found[fold] for fold in (3, 0, 4, 1, 2)]
