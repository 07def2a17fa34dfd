"""What a search does without is listed in its folder: rejected rows, values that are none, missing values."""

import csv
import json
from pathlib import Path

import pytest
from suite_fixtures import small_space

from suite.experiment import Experiment
from suite.prepare import prepare_data
from suite.space.search_space import load_space


def test_the_run_folder_lists_what_is_left_out(tmp_path: Path) -> None:
    path = small_space(tmp_path)
    table = tmp_path / "small.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    rows[1]["species"] = [0] * len(rows[1]["species"])
    rows[2]["targets"]["log10_K_VRH"] = "2,1"
    rows[3]["targets"] = {"other": "x"}
    table.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match=r"at most 0 unreadable crystals \(max_rejected\), got 1 of 40"):
        prepare_data(load_space(path), tmp_path / "data")
    with pytest.raises(ValueError, match=r"is missing for 2 of 39 crystals.*set data.max_rejected to 3"):
        prepare_data(load_space(path, ("data.max_rejected=1",)), tmp_path / "data")
    space = load_space(path, ("data.max_rejected=3",))
    data = prepare_data(space, tmp_path / "data")
    with Experiment.open(tmp_path / "runs", space, data, "a test", fresh=False) as experiment:
        listed = list(csv.DictReader((experiment.folder / "rejected.csv").open(newline="")))
    assert [(row["line"], row["id"], row["target"]) for row in listed] == [
        ("line 2", rows[1]["id"], ""),
        ("line 3", rows[2]["id"], "log10_K_VRH"),
        ("", rows[3]["id"], "log10_K_VRH"),
    ]
    assert "expected atomic numbers 1 to 118" in listed[0]["reason"]
    assert listed[2]["reason"] == "no value of log10_K_VRH"
    assert data.summary()["rejected"] == 1
