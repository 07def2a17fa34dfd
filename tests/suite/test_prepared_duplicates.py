"""What a search records of near-duplicates between its splits."""

import json
from pathlib import Path

from suite_fixtures import small_space

from crystalformer.data.duplicates import RULE, duplicates
from suite.prepare import prepare_data
from suite.space.search_space import load_space

TARGET = "log10_K_VRH"


def copied(folder: Path) -> Path:
    """The small table with every crystal twice, so that most of each split has its copy in training."""
    path = small_space(folder)
    table = folder / "small.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    twins = [row | {"id": f"{row['id']}-copy"} for row in rows]
    table.write_text("\n".join(json.dumps(row) for row in rows + twins) + "\n")
    return path


def test_copies_of_training_crystals_are_recorded_with_their_ids(tmp_path: Path) -> None:
    data = prepare_data(load_space(copied(tmp_path)), tmp_path / "data")
    split, record = data.splits[TARGET], data.summary()["duplicates"][TARGET]
    assert record["rule"] == RULE
    for part, ids in (("val", split.val), ("test", split.test)):
        copies = [id_ for id_ in ids if {id_.removesuffix("-copy"), f"{id_}-copy"} & set(split.train)]
        assert copies
        assert set(copies) <= set(record[part]["near_ids"]) <= set(ids)
        assert (
            len(copies) <= record[part]["same_cell"] <= record[part]["near"] == len(record[part]["near_ids"])
        )
        assert list(duplicates(data.store, split.train, ids).near) == record[part]["near_ids"]
    assert json.loads(json.dumps(record)) == record
