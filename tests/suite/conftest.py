"""One small search, run once as its user would, for the tests that look at what it leaves."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from built_once import built_once
from suite_fixtures import small_space

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def search_command() -> Callable[..., list[str]]:
    """The command line of a search below a folder."""

    def command(folder: Path, *flags: str) -> list[str]:
        space = folder / "space.yaml"
        if not space.exists():
            small_space(folder)
        return [
            sys.executable, "-m", "suite.search", "--space", str(space),
            "--runs", str(folder / "runs"), "--data", str(folder / "data"), *flags,
        ]  # fmt: skip

    return command


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, search_command: Callable[..., list[str]]) -> Path:
    """Folder of a finished small search, two trials at a time: space.yaml, data/, runs/small/, output.txt."""

    def search(folder: Path) -> None:
        small_space(folder, search={"grace_epochs": 1, "reduction": 2, "concurrent": 2})
        done = subprocess.run(search_command(folder), cwd=ROOT, capture_output=True, text=True, timeout=600)
        (folder / "output.txt").write_text(done.stdout + done.stderr)
        assert done.returncode == 0, done.stdout + done.stderr

    return built_once(tmp_path_factory, "finished", search)
