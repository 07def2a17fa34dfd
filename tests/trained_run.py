"""A run folder as a search leaves it, with models that were really trained, a little, in this process."""

import json
from pathlib import Path

from suite_fixtures import small_space

from suite.crystals import write_crystals
from suite.experiment import Experiment
from suite.final import run_final
from suite.floors import FloorJob, run_floor
from suite.prepare import prepare_data
from suite.space.search_space import load_space
from suite.tasks import final_jobs

TINY: dict[str, dict] = {
    "crystalformer": {"num_layers": 1, "width": 16, "heads": 2, "ff_width": 32, "value_basis": 8},
    "crystalframer": {"num_layers": 1, "width": 16, "heads": 2, "ff_width": 32, "value_basis": 8},
    "cgcnn": {"node_width": 8, "hidden_width": 16},
    "schnet": {"node_width": 16, "filter_width": 16, "interactions": 1, "gaussians": 10},
    "megnet": {"hidden_width": 16, "width": 8, "blocks": 1, "gaussians": 20},
    "gatgnn": {"node_width": 16, "layers": 1, "heads": 2},
    "m3gnet": {"width": 16, "blocks": 1},
    "alignn": {"width": 16, "alignn_layers": 1, "gcn_layers": 1, "embedding_width": 8},
    "matformer": {"width": 16, "layers": 1, "heads": 2, "hidden_width": 16, "gaussians": 16},
    "potnet": {"width": 16, "layers": 1, "gaussians": 16, "multiquadrics": 8},
    "icomformer": {"width": 16, "conv_layers": 2, "gaussians": 16},
    "ecomformer": {"width": 16, "conv_layers": 2, "scalars": 8, "vectors": 2, "gaussians": 16},
}
TARGET = "log10_K_VRH"


def write_run(folder: Path, models: dict[str, dict], *overrides: str, status: str = "finished") -> Path:
    """Trains every model once per seed (0 and 1) for an epoch; gives the folder of the run."""
    space = load_space(
        small_space(folder),
        (f"models={json.dumps(models)}", f"budget.trials={len(models)}", "budget.epochs=1", *overrides),
    )
    data = prepare_data(space, folder / "data")
    with Experiment.open(folder / "runs", space, data, "python -m suite.search", False) as experiment:
        for ledger in experiment.ledgers.values():
            while trial := ledger.next():
                ledger.finish(trial.number, "complete", "done", {"epochs": 1, "val_mae": 0.3})
        for job in final_jobs(experiment):
            run_floor(job) if isinstance(job, FloorJob) else run_final(job)
        experiment.write_trials()
        experiment.update(status=status)
        write_crystals(experiment.folder, data)
    return experiment.folder
