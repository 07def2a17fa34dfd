"""Whether the code that computed is that of the commit."""

import subprocess
from pathlib import Path

import pytest

from suite.provenance import provenance


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite/provenance.py").write_text("x = 1\n")
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", "First"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    monkeypatch.setattr("suite.provenance.__file__", str(tmp_path / "suite/provenance.py"))
    return tmp_path


def test_the_commit_is_that_of_the_clone(clone: Path) -> None:
    commit = subprocess.run(
        ["git", "-C", str(clone), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert provenance()["commit"] == commit.stdout.strip()
    assert provenance()["dirty"] is False


def test_tables_and_spaces_of_ones_own_change_no_code(clone: Path) -> None:
    (clone / "my.csv").write_text("id,cif\n")
    (clone / "my.yaml").write_text("name: my\n")
    assert provenance()["dirty"] is False


@pytest.mark.parametrize("name", ["suite/provenance.py", "baselines/mine.py", "constraints.txt"])
def test_changed_and_added_code_is_said(clone: Path, name: str) -> None:
    (clone / name).parent.mkdir(exist_ok=True)
    (clone / name).write_text("x = 2\n")
    assert provenance()["dirty"] is True


def test_outside_of_a_clone_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.provenance.__file__", str(tmp_path / "suite/provenance.py"))
    assert (provenance()["commit"], provenance()["dirty"]) == (None, None)
