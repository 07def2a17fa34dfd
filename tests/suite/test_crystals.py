"""The table of crystals in a run folder: who they are, without a label, and written once."""

from pathlib import Path

import pandas as pd
import pytest
from suite_fixtures import small_space

from suite import crystals
from suite.crystals import write_crystals
from suite.prepare import PreparedData, prepare_data
from suite.space.search_space import load_space

TARGET = "log10_K_VRH"


def prepared(folder: Path) -> PreparedData:
    return prepare_data(load_space(small_space(folder)), folder / "data")


def test_validation_and_test_crystals_are_described(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    table = pd.read_parquet(write_crystals(tmp_path, data))
    assert list(table.columns) == ["id", "formula", "elements", "atoms", "space_group"]
    split = data.splits[TARGET]
    assert set(table["id"]) == {*split.val, *split.test}
    rows = data.store.rows(table["id"])
    assert table["atoms"].tolist() == data.store.sizes[rows].tolist()
    assert table["space_group"].between(1, 230).all()
    for row, elements in zip(rows, table["elements"], strict=True):
        assert len(elements.split()) == len(set(data.store.crystal(row).numbers.tolist()))
    assert table.attrs == {"symmetry_tolerance": 0.1}


def test_a_table_of_these_crystals_stays_and_another_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepared(tmp_path)
    path = write_crystals(tmp_path, data)
    before = pd.read_parquet(path)
    for content in (b"", before.head(2).to_parquet(index=False)):
        path.write_bytes(content)
        pd.testing.assert_frame_equal(pd.read_parquet(write_crystals(tmp_path, data)), before)
    monkeypatch.setattr(crystals, "describe", lambda *_: pytest.fail("described again"))
    assert write_crystals(tmp_path, data) == path
