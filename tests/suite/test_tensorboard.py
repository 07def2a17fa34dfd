"""TensorBoard shows a search over several models: asked through its own HTTP interface."""

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def address(finished: Path) -> Iterator[str]:
    """A running TensorBoard over the finished search."""
    command = [
        sys.executable, "-m", "tensorboard.main", "--logdir", str(finished / "runs/small/tensorboard"),
        "--port", "0", "--load_fast=false", "--reload_interval=1",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"http://(localhost|127\.0\.0\.1):(\d+)/", line):
                break
        else:
            pytest.fail("TensorBoard did not say where it is")
        address = f"http://127.0.0.1:{found.group(2)}"
        _wait_until_loaded(address)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


def ask(address: str, path: str, body: dict | None = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


def _wait_until_loaded(address: str) -> None:
    for _ in range(100):
        if len(ask(address, "data/plugin/scalars/tags")) >= 10:  # 6 trials, 4 final runs
            return
        subprocess.run(["sleep", "0.2"], check=True)
    pytest.fail("TensorBoard did not load the runs")


def test_every_run_has_its_scalars(address: str, finished: Path) -> None:
    tags = ask(address, "data/plugin/scalars/tags")
    trials = pd.read_parquet(finished / "runs/small/trials.parquet")
    names = {f"{row.trial_id}-{row.model}" for row in trials.itertuples()}
    assert names <= set(tags)
    assert len([name for name in tags if name.startswith("final/")]) == 4
    for name in names:
        assert set(tags[name]) >= {
            "train_mae", "val_mae", "val_mae_raw", "lr", "grad_norm", "crystals_per_s",
        }  # fmt: skip
        assert "log10(GPa)" in tags[name]["val_mae"]["description"]


def test_scalars_are_those_of_the_table(address: str, finished: Path) -> None:
    for row in pd.read_parquet(finished / "runs/small/trials.parquet").itertuples():
        points = ask(address, f"data/plugin/scalars/scalars?tag=val_mae&run={row.trial_id}-{row.model}")
        assert [step for _, step, _ in points] == list(range(1, row.epochs + 1))
        assert points[-1][2] == pytest.approx(row.val_mae, rel=1e-5)


def test_one_hparams_table_over_all_trials_of_all_models(address: str, finished: Path) -> None:
    experiment = ask(address, "data/plugin/hparams/experiment", {"experimentName": "", "hparamsLimit": 0})
    columns = {info["name"] for info in experiment["hparamInfos"]}
    assert columns == {
        "model", "crystalformer/lr", "crystalformer/num_layers", "crystalformer/lattice_range",
        "crystalformer/swa_epochs", "cgcnn/lr",
    }  # fmt: skip
    metrics = {info["name"]["tag"]: info["displayName"] for info in experiment["metricInfos"]}
    assert metrics == {
        "val_mae": "validation MAE (log10(GPa))",
        "train_mae": "training MAE (log10(GPa))",
    }
    groups = ask(
        address,
        "data/plugin/hparams/session_groups",
        {
            "experimentName": "",
            "allowedStatuses": ["STATUS_SUCCESS", "STATUS_RUNNING", "STATUS_UNKNOWN", "STATUS_FAILURE"],
            "colParams": [{"metric": {"group": "", "tag": "val_mae"}}],
            "sliceSize": 100,
            "startIndex": 0,
        },
    )["sessionGroups"]
    shown = {group["name"]: group for group in groups}
    trials = pd.read_parquet(finished / "runs/small/trials.parquet")
    assert set(shown) == set(trials["trial_id"])
    for row in trials.to_dict("records"):
        group = shown[row["trial_id"]]
        assert group["hparams"]["model"] == row["model"]
        assert group["hparams"][f"{row['model']}/lr"] == pytest.approx(row[f"{row['model']}/lr"])
        values = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
        assert values["val_mae"] == pytest.approx(row["val_mae"], rel=1e-5)
