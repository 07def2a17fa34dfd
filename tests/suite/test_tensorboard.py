"""TensorBoard shows a search over several models: asked through its own HTTP interface."""

import io
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from browser import screenshot
from matplotlib.image import imread
from torch import nn
from web_server import ask, free_port, serving

from suite.tensorboard_log import TrialLog


@pytest.fixture(scope="module")
def address(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running TensorBoard over the finished search."""
    port = free_port()
    command = [
        sys.executable, "-m", "tensorboard.main", "--logdir", str(finished / "runs/small/tensorboard"),
        "--port", str(port), "--load_fast=false", "--reload_interval=1",
    ]  # fmt: skip
    with serving(command, port, tmp_path_factory.mktemp("tensorboard")) as address:
        _wait_until_loaded(address)
        yield address


def _wait_until_loaded(address: str) -> None:
    for _ in range(300):
        if len(ask(address, "data/plugin/scalars/tags")) >= 10:  # 6 trials, 4 final runs
            return
        time.sleep(0.2)
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


def test_final_runs_have_their_pictures(address: str, finished: Path) -> None:
    finals = sorted(path.parent.name for path in (finished / "runs/small/final").glob("*/parity.png"))
    assert len(finals) == 4
    shown = ask(address, "data/plugin/images/tags")
    assert set(shown) == {f"final/{name}" for name in finals}
    for name in finals:
        assert set(shown[f"final/{name}"]) == {"parity", "elements"}
        (sample,) = ask(address, f"data/plugin/images/images?run=final/{name}&tag=parity&sample=0")
        where = f"{address}/data/plugin/images/individualImage?{sample['query']}"
        with urllib.request.urlopen(where, timeout=30) as response:
            data = response.read()
        assert data == (finished / "runs/small/final" / name / "parity.png").read_bytes()
        assert imread(io.BytesIO(data)).shape[1] > 1000


def test_there_are_no_histograms_unless_asked_for(address: str) -> None:
    assert ask(address, "data/plugin/histograms/tags") == {}


def test_histograms_hold_every_weight_and_gradient(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    model(torch.ones(4, 3)).sum().backward()
    log = TrialLog(tmp_path / "run", "run", {})
    log.histograms(model, 1)
    log.close()
    port = free_port()
    command = [
        sys.executable, "-m", "tensorboard.main", "--logdir", str(tmp_path), "--port", str(port),
        "--load_fast=false",
    ]  # fmt: skip
    with serving(command, port, tmp_path) as address:
        for _ in range(300):
            if tags := ask(address, "data/plugin/histograms/tags"):
                break
            time.sleep(0.2)
        assert set(tags["run"]) == {"weights/weight", "weights/bias", "gradients/weight", "gradients/bias"}
        ((_, step, bins),) = ask(address, "data/plugin/histograms/histograms?run=run&tag=gradients/bias")
    assert step == 1
    assert sum(count for _, _, count in bins) == 2
    assert bins[0][0] <= 4.0 <= bins[-1][1]  # the sum over four crystals


def test_the_hparams_page_in_a_browser(address: str, tmp_path: Path) -> None:
    picture = imread(screenshot(f"{address}/#hparams", tmp_path / "shot.png", 1400, wait_ms=20000))
    assert picture.shape[1] == 1400
    assert picture[200:, 400:, :3].std() > 0.02  # the table, at the right of the settings
