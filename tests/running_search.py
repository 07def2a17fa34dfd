"""A search that takes long: started as its user would, and watched until its trials train."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
LONG = {
    "models": {"cgcnn": {"node_width": 8, "hidden_width": 16}},
    "budget": {"trials": 2, "epochs": 2000},
    "search": {"scheduler": "none", "concurrent": 2},
    "final": {"seeds": [0], "epochs": 2, "floors": False},
}


def start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 600
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def epochs_of(trial: Path) -> list[int]:
    return pd.read_csv(trial / "curve.csv")["epoch"].tolist()


def have_begun(run: Path) -> bool:
    curves = list(run.glob("trials/*/curve.csv"))
    return len(curves) == 2 and all(len(curve.read_text().splitlines()) > 5 for curve in curves)
