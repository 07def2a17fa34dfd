"""No name in a record, an archive, a listing or a table leads out of the folder that it belongs to."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from final_folders import edit_json
from run_folders import RunFolderMaker
from s3_server import S3Server
from suite_fixtures import small_space
from trial_tasks import task_of

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.manifest import StoreError, read_manifest, write_manifest
from crystalformer.sources.published.texts import open_text
from reports.__main__ import main as report
from reports.after_search import main as after_search
from reports.publish import main as publish
from suite.file_names import in_file_names
from suite.final import run_id
from suite.ledger import TrialLedger
from suite.mirror import Mirror, MirrorError
from suite.search import main as search
from suite.space.search_space import load_space
from suite.storage import open_storage
from suite.storage_url import DEFAULT

OUTSIDE = ["../../outside", "/tmp/outside", "a/../../outside", "..", ".hidden", ""]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with room for an escape beside it."""
    return RunFolderMaker(seeds=(0,)).write(tmp_path / "in/runs/small")


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_final_run_whose_record_has_another_place_is_refused_by_every_reader(
    run: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    [*_, final] = sorted((run / "final").glob("cgcnn-*"))
    edit_json(final / "run.json", run_id=name)
    before = sorted(run.parents[2].rglob("*"))
    commands: dict[str, Callable[[], int]] = {
        "report": lambda: report([str(run)]),
        "after a search": lambda: after_search([str(run)]),
        "publish": lambda: publish([str(run), "--out", str(run.parents[1] / "results"), "--dirty"]),
    }
    for what, command in commands.items():
        assert command() == 2, what
        assert f"run_id: expected {final.name!r}, got {name!r}" in capfd.readouterr().err
    assert sorted(run.parents[2].rglob("*")) == before


@pytest.mark.parametrize("column", ["trial_id", "imported_from"])
def test_a_trial_of_another_place_is_refused(
    run: Path, capfd: pytest.CaptureFixture[str], column: str
) -> None:
    table = pd.read_parquet(run / "trials.parquet")
    table.assign(**{column: "../../../secret"}).to_parquet(run / "trials.parquet")
    assert report([str(run)]) == 2
    assert f"{column}: expected a name without a path, got '../../../secret'" in capfd.readouterr().err


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_study_whose_trial_has_another_place_is_refused(tmp_path: Path, name: str) -> None:
    def ledger() -> TrialLedger:
        space = load_space(small_space(tmp_path))
        return TrialLedger(open_storage(DEFAULT, tmp_path), "study", space)

    first = ledger()
    assignment = first.next()
    assert assignment is not None
    plain = json.loads(assignment.attributes()["assignment"]) | {"trial_id": name}
    first._study._storage.set_trial_user_attr(first.trials()[0].key, "assignment", json.dumps(plain))
    with pytest.raises(ValueError, match="trial id: expected a name without a path"):
        ledger()


@pytest.mark.parametrize("name", ["../../outside", "a/../../outside", "/tmp/outside"])
def test_a_mirror_whose_files_lead_elsewhere_is_neither_fetched_nor_changed(
    tmp_path: Path, name: str
) -> None:
    with S3Server() as server:
        mirror = Mirror.open(server.url("searches"), "small")
        server.objects |= {"searches/small/search.json": b"{}", f"searches/small/{name}": b"x"}
        with pytest.raises(MirrorError, match="expected files of an experiment, got"):
            mirror.settle(tmp_path / "in/runs/small")
        assert not list(tmp_path.rglob("*outside*"))
        with pytest.raises(MirrorError, match="expected files of an experiment, got"):
            mirror.push(tmp_path)
        assert server.objects[f"searches/small/{name}"] == b"x"


@pytest.mark.parametrize("place", ["files", "splits"])
@pytest.mark.parametrize("name", ["../outside.npy", "/tmp/outside.npy", "splits/../../x.json"])
def test_a_store_whose_manifest_names_files_elsewhere_is_refused(
    tmp_path: Path, place: str, name: str
) -> None:
    store = Path(task_of(tmp_path, "cgcnn").store)
    manifest = read_manifest(store)
    entry = next(iter(manifest[place].values()))
    manifest[place] = {name: entry} if place == "files" else {"x": {**entry, "file": name}}
    write_manifest(store, manifest)
    with pytest.raises(StoreError, match="expected names of files inside the folder"):
        ArrayStore.open(store)


@pytest.mark.parametrize("member", ["../../outside.json", "/tmp/outside.json"])
def test_an_archive_is_read_and_never_unpacked(tmp_path: Path, member: str) -> None:
    (tmp_path / "in/here").mkdir(parents=True)
    path = tmp_path / "in/here/published.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "[1, 2]")
    with open_text(path) as text:
        assert text.read() == "[1, 2]"
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [path]


def test_targets_with_any_name_have_files_inside_and_of_their_own() -> None:
    names = [
        "log10_K_VRH",
        "energy (eV/atom)",
        "energy_eV_atom",
        "../../x",
        "/x",
        "..",
        "∆E",
        "∆H",
        " ",
        "x" * 300,
    ]
    parts = [in_file_names(name) for name in names]
    assert parts[0] == "log10_K_VRH"
    assert len(set(parts)) == len(names)
    for name, part in zip(names, parts, strict=True):
        assert Path("in", run_id("cgcnn", "small", name, 0, {})).parent == Path("in")
        assert len(part) < 100
        assert not part.startswith(".")


def test_two_targets_with_paths_for_names_are_searched(tmp_path: Path) -> None:
    table = tmp_path / "small.jsonl"
    space = small_space(tmp_path)
    names = ["energy (eV/atom)", "../../E"]
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    for row in rows:
        value = row["targets"].pop("log10_K_VRH")
        row["targets"] = dict.fromkeys(names, value)
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    blocks = json.loads(space.read_text())
    blocks |= {
        "data": {"dataset": {"path": str(table)}, "target": names},
        "models": {"cgcnn": {"node_width": 8}},
        "budget": {"trials": 1, "epochs": 1},
        "final": {"seeds": [0], "floors": False},
    }
    space.write_text(json.dumps(blocks))
    runs = tmp_path / "in/runs"
    assert search(["--space", str(space), "--runs", str(runs), "--data", str(tmp_path / "in/data")]) == 0
    trials = pd.read_parquet(runs / "small/trials.parquet")
    assert trials["target"].tolist() == names
    assert {path.name for path in (runs / "small/trials").iterdir()} == set(trials["trial_id"])
    assert {path.name for path in tmp_path.iterdir()} == {"in", "small.jsonl", "space.yaml"}
