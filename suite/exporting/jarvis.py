"""Files for JARVIS-Leaderboard (K. Choudhary et al., npj Comput. Mater. 10 (2024) 93).

A contribution is a CSV `id,target,prediction` of the test crystals, zipped under the name of the benchmark,

    AI-SinglePropertyPrediction-<property>-<data set>-test-mae.csv.zip

beside a `metadata.json`. A benchmark that the leaderboard does not have yet needs its split as well:
`<data set>_<property>.json.zip` with train, val and test, each id -> true value.
"""

import csv
import json
import zipfile
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from crystalformer.data.array_store import DIGEST_CHARACTERS, ArrayStore
from crystalformer.data.catalog import DATASETS
from crystalformer.data.splits import load_split
from suite.exporting.ensembles import RunPredictions
from suite.records import write_json

THEIRS = {"jarvis-dft-3d-2021": "dft_3d", "mp-2018.6.1": "megnet"}  # data sets that the leaderboard has
METADATA = (  # for the contributor to fill in, where it is empty
    "model_name", "project_url", "date_submitted", "author_email", "database_version", "team_name",
    "time_taken_seconds", "language", "os", "software_used", "hardware_used", "git_url",
)  # fmt: skip


def write_jarvis(run: RunPredictions, out: Path, data: Path) -> list[Path]:
    """Write the contribution and the split; gives their paths. `data` is where prepared data sets lie.

    Raises:
        StoreError, ValueError: the data set of the run is not there.
    """
    dataset, property_ = names_of(run)
    split = json.dumps(_split(run, data))
    rows = StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(["id", "target", "prediction"])
    writer.writerows([id_, run.true[id_], run.predicted[id_]] for id_ in run.true)
    out.mkdir(parents=True, exist_ok=True)
    metadata = dict.fromkeys(METADATA, "") | {
        "model_name": run.label,
        "database_version": run.dataset["name"],
        "software_used": "crystalformer-suite",
        "language": "python",
    }
    write_json(out / "metadata.json", metadata)
    stem = f"AI-SinglePropertyPrediction-{property_}-{dataset}-test-mae"
    return [
        _zipped(out, f"{stem}.csv", rows.getvalue()),
        _zipped(out, f"{dataset}_{property_}.json", split),
        out / "metadata.json",
    ]


def names_of(run: RunPredictions) -> tuple[str, str]:
    """How the leaderboard calls the data set and the property, or would."""
    known = DATASETS.get(run.dataset["name"])
    keys = {name: key for part in known.parts for name, key in part.keys.items()} if known else {}
    dataset = THEIRS.get(run.dataset["name"], run.dataset["name"])
    # without the characters that part the name of a benchmark
    return dataset.replace("-", "_"), keys.get(run.target, run.target).replace("-", "_").replace(" ", "_")


def _split(run: RunPredictions, data: Path) -> dict[str, dict[str, float]]:
    name, digest = run.dataset["name"], run.dataset["digest"]
    store = ArrayStore.open(data / f"{name}-{digest[:DIGEST_CHARACTERS]}", verify=False)
    split, values = load_split(store, run.split_hash), np.asarray(store.targets[run.target])
    parts: dict[str, Any] = {"train": split.train, "val": split.val, "test": split.test}
    return {
        part: dict(zip(ids, values[store.rows(ids)].tolist(), strict=True)) for part, ids in parts.items()
    }


def _zipped(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return path
