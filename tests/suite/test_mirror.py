"""The copy of an experiment on another file system: complete, consistent, and enough to go on from."""

import io
import json
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pyarrow import _fs, fs
from s3_server import S3Server
from suite_fixtures import small_space

from suite.mirror import Mirror, MirrorError
from suite.mirroring import mirroring
from suite.search import main

ROOT = Path(__file__).resolve().parents[2]


def experiment(folder: Path, seconds: float = 10.0, name: str = "e1") -> Path:
    """A run folder with something of everything."""
    for file in ("trials/t0000/curve.csv", "final/m/run.json", "trials/t0001/checkpoint.safetensors"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(file)
    (folder / "trials/t0000/.lock").touch()
    (folder / "trials/t0001/checkpoint.asked").touch()
    (folder / ".search.json.77.partial").write_text("half")
    (folder / "search.json").write_text(json.dumps({"id": name, "seconds": seconds}))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def mock() -> fs.FileSystem:
    return _fs._MockFileSystem()


def subtree(folder: Path) -> fs.FileSystem:
    folder.mkdir()
    return fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())


@pytest.mark.parametrize("kind", ["mock", "subtree"])
def test_what_belongs_to_an_experiment_comes_back_elsewhere(tmp_path: Path, kind: str) -> None:
    filesystem = mock() if kind == "mock" else subtree(tmp_path / "far")
    mirror = Mirror("there", filesystem, "searches/small")
    assert not mirror.holds_one()
    here = experiment(tmp_path / "here")
    mirror.push(here)
    elsewhere = tmp_path / "new" / "small"
    Mirror("there", filesystem, "searches/small").settle(elsewhere)
    kept = {
        "trials/t0000/curve.csv",
        "final/m/run.json",
        "trials/t0001/checkpoint.safetensors",
        "search.json",
    }
    assert contents(elsewhere) == {name: data for name, data in contents(here).items() if name in kept}

    # What changes follows, what goes goes.
    (here / "trials/t0001/checkpoint.safetensors").unlink()
    (here / "trials/t0000/curve.csv").write_text("longer than it was")
    mirror.push(here)
    shutil.rmtree(elsewhere)
    mirror.settle(elsewhere)
    assert contents(elsewhere)["trials/t0000/curve.csv"] == b"longer than it was"
    assert not (elsewhere / "trials/t0001/checkpoint.safetensors").exists()


def test_only_what_changed_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror, here, sent = Mirror("there", mock(), "small"), experiment(tmp_path / "here"), []
    write = mirror._write
    monkeypatch.setattr(mirror, "_write", lambda to, source: (sent.append(to), write(to, source)))
    mirror.push(here)
    assert sent[-1] == "small/search.json"  # it speaks of the others
    sent.clear()
    mirror.push(here)
    assert sent == []
    (here / "final/m/run.json").write_text("another")
    mirror.push(here)
    assert sent == ["small/final/m/run.json"]


def test_a_database_is_copied_whole_while_it_is_written(tmp_path: Path) -> None:
    here = experiment(tmp_path / "here")
    database = sqlite3.connect(here / "study.db")
    database.execute("CREATE TABLE t (x)")
    database.execute("INSERT INTO t VALUES (1)")
    database.commit()
    database.execute("INSERT INTO t VALUES (2)")  # not yet committed
    mirror = Mirror("there", mock(), "small")
    mirror.push(here)
    mirror.settle(tmp_path / "new")
    assert sqlite3.connect(tmp_path / "new/study.db").execute("SELECT x FROM t").fetchall() == [(1,)]
    database.close()


def test_a_copy_that_does_not_belong_to_the_folder_is_refused(tmp_path: Path) -> None:
    mirror = Mirror("--mirror there", mock(), "small")
    mirror.push(experiment(tmp_path / "a", seconds=7200))
    mirror.settle(tmp_path / "a")
    with pytest.raises(MirrorError, match="holds another experiment of this name: choose another --name"):
        mirror.settle(experiment(tmp_path / "b", name="e2"))
    with pytest.raises(
        MirrorError, match=r"was continued elsewhere \(2.00 h, here 0.50 h\): continue it there"
    ):
        mirror.settle(experiment(tmp_path / "c", seconds=1800))


@pytest.mark.parametrize("url", ["nope://x/y", "file:///proc/nowhere", "s3:/bucket"])
def test_a_place_that_cannot_be_used_is_found_out_first(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], url: str
) -> None:
    flags = ["--space", str(small_space(tmp_path)), "--runs", str(tmp_path / "runs")]
    flags += ["--data", str(tmp_path / "data")]
    assert main([*flags, "--mirror", url]) == 2
    assert f"--mirror {url}: expected a file system to write to, got" in capfd.readouterr().err
    assert not (tmp_path / "runs/small").exists()


def test_results_cannot_be_run_in_an_object_store(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--space", str(small_space(tmp_path)), "--runs", "s3://bucket/runs"]) == 2
    assert "--mirror URL keeps a copy there" in capfd.readouterr().err


def test_a_mirror_is_kept_while_something_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.mirroring.EVERY_S", 0.05)
    here, mirror = experiment(tmp_path / "here"), Mirror("there", mock(), "small")
    with mirroring(mirror, here):
        end = time.monotonic() + 60
        while not mirror.holds_one():
            assert time.monotonic() < end
            time.sleep(0.05)
        (here / "last").write_text("at the end")
    mirror.settle(tmp_path / "new")
    assert (tmp_path / "new/last").exists()


def test_an_experiment_is_kept_in_s3_and_comes_back_from_there(tmp_path: Path) -> None:
    here = experiment(tmp_path / "here")
    large = bytes(range(256)) * 50_000  # more than one part of an upload
    (here / "trials/t0001/checkpoint.safetensors").write_bytes(large)
    with S3Server() as server:
        url = server.url("searches")
        mirror = Mirror.open(url, "small")
        assert "secret" not in mirror.shown
        mirror.push(here)
        assert server.objects["searches/small/trials/t0001/checkpoint.safetensors"] == large
        assert not [
            name for name in server.objects if ".lock" in name or "partial" in name or "probe" in name
        ]
        Mirror.open(url, "small").settle(tmp_path / "new/small")
        assert contents(tmp_path / "new/small").keys() == {
            name for name in contents(here) if not name.endswith((".lock", ".asked", ".partial"))
        }
        assert (tmp_path / "new/small/trials/t0001/checkpoint.safetensors").read_bytes() == large
        (here / "trials/t0001/checkpoint.safetensors").unlink()
        mirror.push(here)
        assert "searches/small/trials/t0001/checkpoint.safetensors" not in server.objects


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_search_goes_on_where_there_is_nothing_but_its_mirror_in_s3(
    tmp_path: Path, search_command: Callable[..., list[str]]
) -> None:
    models = {"cgcnn": {"node_width": 8, "hidden_width": 16}}
    final = {"seeds": [0], "epochs": 2, "floors": False}
    budget, search = {"trials": 2, "epochs": 150}, {"scheduler": "none", "concurrent": 2}
    small_space(tmp_path, models=models, budget=budget, search=search, final=final)
    curve = tmp_path / "runs/small/trials/t0001/curve.csv"
    with S3Server() as server:
        command = search_command(tmp_path, "--mirror", server.url("searches", secret="very-secret-word"))
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        while not (curve.exists() and len(curve.read_text().splitlines()) > 5):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.05)
        process.terminate()
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 130, said
        epochs = pd.read_csv(curve)["epoch"].tolist()
        shutil.rmtree(tmp_path / "runs")
        again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=800)
        assert again.returncode == 0, again.stdout + again.stderr
        kept = {name.removeprefix("searches/small/"): content for name, content in server.objects.items()}
    assert json.loads(kept["search.json"])["status"] == "finished"
    trials = pd.read_parquet(io.BytesIO(kept["trials.parquet"]))
    assert trials["trial_id"].tolist() == ["t0000", "t0001"]
    after = pd.read_csv(io.BytesIO(kept["trials/t0001/curve.csv"]))["epoch"].tolist()
    assert after == list(range(1, len(after) + 1))
    assert after[: len(epochs)] == epochs
    assert {"study.db", "report/index.html"} <= kept.keys()
    assert not [name for name in kept if "checkpoint" in name]
    assert not [name for name, content in kept.items() if b"very-secret-word" in content]
