"""Where a study may lie: each kind of storage, a real PostgreSQL server, and what is never written down."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from postgresql_server import PostgresqlServer, why_not
from suite_fixtures import small_space

from suite.ledger import TrialLedger
from suite.space.search_space import load_space
from suite.storage import StorageDown, open_storage
from suite.storage_url import DEFAULT, check_storage, without_secrets
from suite.trial_record import Curve

ROOT = Path(__file__).parents[2]
PASSWORD = "very-secret-word"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresqlServer]:
    if reason := why_not():
        pytest.skip(reason)
    with PostgresqlServer(PASSWORD) as running:
        yield running


@pytest.fixture(params=["sqlite", "journal", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("server").url
    return {"sqlite": DEFAULT, "journal": "journal:///study.log"}[request.param]


def ledger_of(folder: Path, url: str, name: str) -> TrialLedger:
    curves = {"t0002": Curve([0.5, 0.25])}
    space = load_space(small_space(folder), ("budget.epochs=40", "budget.trials=12", "search.sampler=tpe"))
    return TrialLedger(open_storage(url, folder), name, space, curve_of=lambda id_: curves.get(id_, Curve()))


def test_a_later_session_finds_everything_in_any_storage(tmp_path: Path, url: str) -> None:
    first = ledger_of(tmp_path, url, "everything")
    given = [first.next() for _ in range(8)]
    for epoch in range(1, 41):
        first.report(0, epoch, 1.0 / epoch, float(epoch))
    result = {"epochs": 40, "val_mae": 1 / 40, "seconds": 40.0, "parameters": 7, "config": '{"a": 1}'}
    first.finish(0, "complete", "trained", result)
    first.report(1, 1, 0.5)
    first.finish(1, "stopped", "ASHA", {"epochs": 1, "val_mae": 0.5})
    first.finish(3, "failed", "out of memory", {"infeasible": True})
    first.report(2, 1, 0.5)
    first.report(2, 2, 0.25)

    again = ledger_of(tmp_path, url, "everything")
    pd.testing.assert_frame_equal(pd.DataFrame(again.rows("y")), pd.DataFrame(first.rows("y")))
    assert again.trials() == first.trials()
    assert [epoch for epoch, _ in again.trials()[0].curve] == list(range(1, 41))
    following = [again.next() for _ in range(6)]
    assert following[:-1] == [given[2], *given[4:]]
    assert following[-1] == first.next()  # the sampler, too, sees the same
    assert not ledger_of(tmp_path, url, "another").trials()


@pytest.mark.parametrize(
    "url",
    [
        "study.db",
        "mysql://host/name",
        "sqlite://",
        "sqlite:///",
        "journal://x",
        "postgresql://host",
        "postgresql:///x",
    ],
)
def test_another_form_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="--storage: expected sqlite:///FILE, journal:///FILE or"):
        check_storage(url)


@pytest.mark.parametrize("url", ["sqlite:///x.db", "journal:///x.log"])
def test_another_file_is_refused(tmp_path: Path, url: str) -> None:
    (tmp_path / url.rpartition("/")[2]).write_text("no study\n" * 200)
    with pytest.raises(ValueError, match="expected an Optuna study database, got another file"):
        open_storage(url, tmp_path)


def test_passwords_and_options_are_not_shown() -> None:
    assert without_secrets("postgresql://me:word@host:1/db?password=word") == "postgresql://me:***@host:1/db"
    assert without_secrets("s3://key:secret@bucket/a?region=x") == "s3://key:***@bucket/a"
    assert without_secrets(DEFAULT) == DEFAULT
    for odd in ("postgresql://me:w?o@rd@host/db", "postgresql://host/db?password=w@rd"):
        assert without_secrets(odd) == "postgresql://***"


def test_a_server_that_is_down_is_said(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StorageDown, match=r"--storage postgresql://u:\*\*\*@127.0.0.1:9/x: ") as error:
        open_storage("postgresql://u:word@127.0.0.1:9/x", tmp_path)
    assert "word" not in str(error.value)


def search(folder: Path, *flags: str) -> list[str]:
    space = small_space(
        folder,
        budget={"trials": 3, "epochs": 30},
        search={"scheduler": "none", "concurrent": 1},
        final={"seeds": [0], "floors": False},
    )
    command = [sys.executable, "-m", "suite.search", "--space", str(space), "--runs", str(folder / "runs")]
    return [*command, "--data", str(folder / "data"), *flags]


@pytest.mark.long
@pytest.mark.searches
def test_a_server_that_goes_away_ends_the_search_which_then_continues(
    tmp_path: Path, server: PostgresqlServer
) -> None:
    command = search(tmp_path, "--storage", server.url)
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    curve = tmp_path / "runs/small/trials/t0001/curve.csv"
    while not curve.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    server.stop()
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 1, said
    assert "Traceback" not in said
    assert "The same command continues" in said
    down = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert down.returncode == 1, down.stderr
    assert "--storage postgresql://" in down.stderr

    server.start()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert again.returncode == 0, again.stdout + again.stderr
    trials = pd.read_parquet(tmp_path / "runs/small/trials.parquet")
    assert trials["state"].eq("complete").all()
    assert trials["trial_id"].tolist() == ["t0000", "t0001", "t0002"]
    for file in (tmp_path / "runs").rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file
    record = json.loads((tmp_path / "runs/small/search.json").read_text())
    assert record["storage"] == without_secrets(server.url)
    assert not (tmp_path / "runs/small/study.db").exists()
