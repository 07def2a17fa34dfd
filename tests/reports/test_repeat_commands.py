"""The command beside committed numbers, given again, is the search that they are from."""

import json
import shlex
from pathlib import Path

import pytest

from reports.tables import run_folders
from suite.search import parser, space_of
from suite.space.yaml_file import read_space

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("run", run_folders(ROOT / "results"), ids=lambda run: run.name)
def test_a_committed_command_searches_what_was_searched(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    record = json.loads((run / "search.json").read_text())
    command = shlex.split(record["command"])
    assert command[:3] == ["python", "-m", "suite.search"]
    read_space(run / "space.yaml")  # also where its crystals are not at hand
    dataset = record["space"]["data"]["dataset"]
    if isinstance(dataset, dict) and not Path(dataset["path"]).exists():
        pytest.skip(f"needs {dataset['path']}")
    options = parser().parse_args(command[3:])
    assert options.space == (run / "space.yaml").relative_to(ROOT)
    space = space_of(options)
    assert space.digest == record["space_digest"]
    assert space.name == record["name"] == run.name
