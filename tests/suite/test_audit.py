"""`python -m suite.data audit`: each finding on a data set made to have it."""

import json
from pathlib import Path

import numpy as np
import pytest

from suite.data.__main__ import main


def write(path: Path, count: int = 40, **changes: dict[int, object]) -> Path:
    """Rock salts of growing cells; `changes` replace fields of single rows."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        row = {
            "id": f"c-{i}",
            "species": [11, 17],
            "lattice": ((4 + 0.05 * i) * np.eye(3)).tolist(),
            "frac": [[0, 0, 0], [0.5] * 3],
            "gap": float(rng.normal(2, 0.1)),
            "split": "train" if i < 30 else "val" if i < 35 else "test",
        }
        rows.append(row | {key: by_row[i] for key, by_row in changes.items() if i in by_row})
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def audit(capsys: pytest.CaptureFixture[str], path: Path, *flags: str) -> dict:
    assert main(["audit", str(path), "--data", str(path.parent / "data"), "--json", *flags]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_clean_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = audit(capsys, write(tmp_path / "t.jsonl"))
    assert (found["crystals"], found["atoms"], found["rejected_rows"]) == (40, 80, 0)
    assert found["elements"] == {"11": 40, "17": 40}
    assert found["duplicates"]["near"] == 0
    split = found["splits"]["gap"]
    assert (split["rule"], split["train"], split["val"], split["test"]) == (
        "labels of the data set",
        30,
        5,
        5,
    )
    assert split["elements_not_in_train"] == {"val": {}, "test": {}}
    gap = found["targets"]["gap"]
    assert sum(gap["histogram"]["counts"]) == gap["count"] == 40
    assert gap["outliers"] == []
    assert gap["quantiles"]["0.5"] == pytest.approx(2, abs=0.1)


def test_leaks_outliers_and_elements_of_test_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lattice = (4 * np.eye(3)).tolist()  # that of row 0
    path = write(
        tmp_path / "t.jsonl",
        lattice={36: lattice, 31: lattice},
        species={37: [19, 17], 39: [19, 35]},
        gap={3: 9.0, 4: None, 5: float("inf")},
        frac={6: [[0, 0, 0], [0, 0, 0.01]]},
    )
    found = audit(capsys, path)
    assert found["rejected_rows"] == 1
    assert found["rejected_values"] == 1
    assert Path(found["report"]).is_file()
    assert found["duplicates"]["near"] == found["duplicates"]["same_cell"] == 3
    shared = found["splits"]["gap"]["shared"]
    assert shared["test in train"] == {"near": 1, "same_cell": 1, "ids": ["c-36"]}
    assert shared["val in train"]["ids"] == ["c-31"]
    assert shared["test in val"]["ids"] == ["c-36"]
    assert found["splits"]["gap"]["elements_not_in_train"]["test"] == {"19": ["c-37", "c-39"], "35": ["c-39"]}
    (outlier,) = found["targets"]["gap"]["outliers"]
    assert (outlier["id"], outlier["value"]) == ("c-3", 9.0)
    assert outlier["sd"] > 5
    assert found["targets"]["gap"]["missing"] == 2
    assert audit(capsys, path, "--sd", "7")["targets"]["gap"]["outliers"] == []


def test_the_page_fits_100_columns_and_names_what_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    path = write(tmp_path / "t.jsonl", gap={3: 9.0}, species={37: [19, 17]})
    assert main(["audit", str(path), "--data", str(tmp_path / "data")]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100
    text = " ".join(said.split())
    assert "gap: 1 beyond 5 sd of the mean: c-3 9 (+6.2 sd)" in text
    assert "K (1)" in text
    assert "gap: no unit is known; data.unit says it" in text


def test_another_split_and_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "t.jsonl", species={i: [19, 17] for i in range(10)})
    found = audit(capsys, path, "--split", "{group: element, val: 0.3, test: K}", "--cell", "niggli")
    assert found["cell"] == "niggli"
    assert "error" in found["splits"]["gap"]  # chlorine is in all of them, so no element fits into 0.3
    found = audit(capsys, path, "--split", "{train: 0.5, val: 0.2, test: 0.2, seed: 1}")
    assert found["splits"]["gap"]["rule"] == "fractions 0.5/0.2/0.2, seed 1"
    assert main(["audit", str(path), "--split", "{group: colour}"]) == 2
    assert "unknown group 'colour'" in capsys.readouterr().err
    assert main(["audit", str(tmp_path / "none.csv")]) == 2


def test_a_published_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "mp-elastic-2015", "--data", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["targets"]["log10_K_VRH"]["unit"] == "log10(GPa)"
    assert found["splits"]["log10_K_VRH"]["test"] == 118
