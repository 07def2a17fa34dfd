"""What a search prints to look closer with: the commands work as printed, from any folder, and show names."""

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from web_server import ask, free_port, serving

from suite.look_closer import dashboard_command, tensorboard_command


@pytest.mark.parametrize(
    ("storage", "command"),
    [
        ("sqlite:///study.db", "optuna-dashboard 'sqlite:////runs/my search/study.db'"),
        ("sqlite:////elsewhere/study.db", "optuna-dashboard sqlite:////elsewhere/study.db"),
        (
            "journal:///study.log",
            "optuna-dashboard --storage-class JournalFileStorage '/runs/my search/study.log'",
        ),
        ("postgresql://me@host/db", "optuna-dashboard postgresql+psycopg://me@host/db"),
        ("postgresql://me:***@host:5433/db", "optuna-dashboard postgresql+psycopg://me@host:5433/db"),
        ("postgresql+psycopg://me@host/db", "optuna-dashboard postgresql+psycopg://me@host/db"),
    ],
)
def test_the_command_suits_the_storage(storage: str, command: str) -> None:
    assert dashboard_command(Path("/runs/my search"), storage) == command


def test_commands_hold_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert tensorboard_command(Path("runs/a b")) == f"tensorboard --logdir '{tmp_path}/runs/a b/tensorboard'"
    assert dashboard_command(Path("runs/x")) == f"optuna-dashboard sqlite:///{tmp_path}/runs/x/study.db"


@pytest.mark.skipif(
    find_spec("optuna_dashboard") is None,
    reason="optuna-dashboard is not installed: pip install 'crystalformer-suite[dashboard]'",
)
def test_the_dashboard_opens_the_study_with_useful_names(finished: Path, tmp_path: Path) -> None:
    """Started by the command that the search printed, in another folder."""
    output = (finished / "output.txt").read_text().splitlines()
    program, *arguments = shlex.split(
        next(line for line in output if line.startswith("Dashboard:")).partition(":")[2]
    )
    assert program == "optuna-dashboard"
    start = "from optuna_dashboard._cli import main; main()"  # its script, of this environment
    port = free_port()
    command = [sys.executable, "-c", start, *arguments, "--port", str(port), "--server", "wsgiref"]
    with serving(command, port, tmp_path) as address:
        (study,) = ask(address, "api/studies")["study_summaries"]
        assert study["study_name"].startswith("small-log10_K_VRH-")
        detail = ask(address, f"api/studies/{study['study_id']}")
    assert detail["objective_names"] == ["val_mae (log10(GPa))"]
    about = {each["key"]: each["value"] for each in detail["user_attrs"]}
    assert "log10_K_VRH" in about["facts"]
    rows = pd.read_parquet(finished / "runs/small/trials.parquet").set_index("number")
    assert len(detail["trials"]) == len(rows)
    for trial in detail["trials"]:
        row = rows.loc[trial["number"]]
        known = {each["key"]: str(each["value"]).strip('"') for each in trial["user_attrs"]}
        assert known["trial_id"] == row["trial_id"]
        assert known["model"] == row["model"]
        assert known["ended"] == row["ended"]
        searched = {each["name"] for each in trial["params"]}
        assert f"{row['model']}/lr" in searched
        assert all(name.startswith(f"{row['model']}/") for name in searched)
