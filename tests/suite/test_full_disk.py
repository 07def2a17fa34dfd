"""The disk fills up during a search: that is said, and costs nothing that was done."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from running_search import LONG, ROOT, epochs_of, have_begun, start, wait_until
from suite_fixtures import small_space

from suite.broken import disk_fault


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a file system of its own needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "none", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip(f"no file system of its own: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_with(ballast: Path) -> None:
    """Leave no room beside this file."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.long
def test_a_full_disk_ends_the_search_and_space_continues_it(
    tmp_path: Path, small_disk: Path, search_command: Callable[..., list[str]]
) -> None:
    small_space(tmp_path, **LONG)
    runs = small_disk / "runs"
    command = search_command(tmp_path, "--runs", str(runs), "--set", "budget.epochs=120")
    search = start(command)
    wait_until(lambda: have_begun(runs / "small"), search)
    ballast = small_disk / "ballast"
    fill_with(ballast)
    said, _ = search.communicate(timeout=300)
    assert search.returncode == 1, said
    assert "Traceback" not in said
    assert [line for line in said.splitlines() if "disk" in line] == said.splitlines()[-1:]
    assert said.rstrip().endswith("make space, or mend it. The same command continues.")

    ballast.unlink()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stdout + again.stderr
    assert pd.read_parquet(runs / "small/trials.parquet")["state"].eq("complete").all()
    for trial in (runs / "small/trials").iterdir():
        assert epochs_of(trial) == list(range(1, 121))
    assert not list(runs.rglob("*.partial*"))


def test_a_disk_fault_is_known_through_other_errors() -> None:
    outer = RuntimeError("could not save")
    outer.__cause__ = OSError(28, "No space left on device")
    assert disk_fault(outer) == "the disk: [Errno 28] No space left on device: make space, or mend it"
    assert disk_fault(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert disk_fault(FileNotFoundError(2, "No such file")) is None
