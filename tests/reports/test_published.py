"""Published errors: every name mapped, every value that of the collection, units those of our data sets."""

from pathlib import Path

import pandas as pd
import pytest

from crystalformer.data.catalog import DATASETS
from reports import published
from suite.registry import MODELS

COLLECTION = Path(__file__).resolve().parents[2].parent / "shared" / "published_results.csv"


@pytest.fixture
def collection() -> pd.DataFrame:
    if not COLLECTION.is_file():
        pytest.skip("the collection of published errors is not beside the repository")
    return pd.read_csv(COLLECTION, keep_default_na=False, na_values={"n_params": [""]})


def test_every_row_of_the_collection_is_mapped(collection: pd.DataFrame) -> None:
    assert published.unmapped(collection) == []


def test_published_csv_holds_the_collections_numbers(collection: pd.DataFrame) -> None:
    ours = published.load()
    kept = collection[~collection["model"].isin(list(published.OTHER_MODELS))]
    assert len(ours) == len(kept)
    for row, (_, source) in zip(ours.itertuples(), kept.iterrows(), strict=True):
        assert (row.model, row.variant) == published.MODEL_NAMES[source["model"]]
        assert (row.dataset, row.target) == published.QUANTITIES[source["dataset"], source["task"]]
        assert (row.mae, row.unit) == (float(source["mae"]), source["unit"])
        assert pd.isna(row.params) == pd.isna(source["n_params"])
        assert pd.isna(row.params) or row.params == source["n_params"]


@pytest.mark.parametrize("column", ["model", "dataset", "task"])
def test_an_unmapped_name_is_an_error_that_says_which(column: str) -> None:
    row = {
        "model": "CGCNN",
        "dataset": "OQMD-3D",
        "task": "band_gap",
        "unit": "eV",
        "mae": 1.0,
        "n_params": None,
        "source": "s",
    }
    with pytest.raises(ValueError, match=r"no mapping in reports/published\.py for .*Nonsense"):
        published.clean(pd.DataFrame([row | {column: "Nonsense"}]))


def test_rows_are_unique() -> None:
    table = published.load()
    assert not table.duplicated(["model", "variant", "dataset", "target"]).any()


def test_keys_are_those_of_the_registry() -> None:
    assert set(MODELS) <= set(published.REGISTRY_KEYS)


def test_data_sets_targets_and_units_are_those_of_the_catalogue() -> None:
    for row in published.load().itertuples():
        assert DATASETS[row.dataset].targets[row.target].unit == row.unit


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    path.write_text(
        published.PUBLISHED_CSV.read_text(encoding="utf-8").replace("\ncgcnn,", "\ncgnn,", 1),
        encoding="utf-8",
    )
    with pytest.raises(ValueError, match="expected registry keys, got cgnn"):
        published.load(path)
