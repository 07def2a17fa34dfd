"""Reports built once for all tests that only read them."""

from pathlib import Path

import pytest
from final_folders import edit_json
from run_folders import RunFolderMaker

from reports.build import build

HOSTILE = "<script>alert('1')</script> & $x_1$ | 100 %"


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search of two models, one target and three seeds, with its report in place."""
    run = RunFolderMaker(
        notes=("cgcnn: published lr 0.01 is outside the searched range, 0.002 is tried first",),
        failures=({"trial_id": "quickstart-log10_K_VRH-t0006", "reason": "loss is NaN at epoch 2"},),
    ).write(tmp_path_factory.mktemp("runs") / "quickstart")
    build([run], run / "report")
    return run


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search whose free texts are full of characters that mean something to HTML, LaTeX or Markdown."""
    maker = RunFolderMaker(
        name=HOSTILE,
        label=HOSTILE,
        targets={"x": HOSTILE},
        notes=(HOSTILE,),
        failures=({"trial_id": HOSTILE, "reason": HOSTILE},),
        seeds=(0,),
        dataset="d",
    )
    run = maker.write(tmp_path_factory.mktemp("runs") / "hostile")
    for record in run.glob("final/*/run.json"):
        edit_json(record, label=HOSTILE if "cgcnn" in record.parent.name else "Crystalformer")
    return run
