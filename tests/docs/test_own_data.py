"""The four commands of docs/data.md, run as they are written there on a CSV of real crystals."""

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from crystalformer.data.catalog import DATASETS
from crystalformer.sources.bundled import read_bundled
from crystalformer.sources.sites import structure_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert len(found) == 1
    return found[0]


@pytest.mark.searches
def test_from_a_csv_to_a_table_in_four_commands(tmp_path: Path) -> None:
    from pymatgen.io.cif import CifWriter

    crystals = [c for c in read_bundled(DATASETS["mp-elastic-2015"]) if len(c.numbers) <= 4][:40]
    with (tmp_path / "my.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "cif", "bulk_modulus"])
        rows.writerows((c.id, str(CifWriter(structure_of(c))), c.targets["log10_K_VRH"]) for c in crystals)
    (tmp_path / "my.yaml").write_text(block("yaml"))
    commands = block("bash").strip().splitlines()
    assert len(commands) == 4
    said = []
    for command in commands:
        words = shlex.split(command)
        assert words[:2] == ["python", "-m"]
        done = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"},
            capture_output=True,
            text=True,
            timeout=800,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout)
    assert max(map(len, said[0].splitlines())) <= 100
    assert "bulk_modulus: no unit is known; data.unit says it" in said[0]
    assert "40 crystals" in said[1]
    table = (tmp_path / "runs/my/report/mae_table.md").read_text()
    assert "log10(GPa)" in table
    assert "CGCNN" in table
    assert not (tmp_path / "runs/my/rejected.csv").exists()
