"""`matbench_discovery.yml`: the model's metadata in the form of matbench-discovery's model files.

The form asks for things that a run does not know (who submits it, from which repository); they stand there as
TO-DO. A model for that leaderboard has to be trained on one of its training sets; `training_set` says
truthfully what this one was trained on.
"""

from collections.abc import Sequence
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from suite.prediction.saved import SavedTarget
from suite.provenance import package_version

VERSION = "1.3.1"  # of matbench-discovery, whose form this is
TODO = "https://example.org/TO-DO"
PAPERS = {  # model -> where it was published
    "crystalformer": "https://arxiv.org/abs/2403.11686",
    "crystalframer": "https://arxiv.org/abs/2503.02209",
    "cgcnn": "https://doi.org/10.1103/PhysRevLett.120.145301",
    "schnet": "https://doi.org/10.1063/1.5019779",
    "megnet": "https://doi.org/10.1021/acs.chemmater.9b01294",
    "gatgnn": "https://doi.org/10.1039/D0CP01474E",
    "m3gnet": "https://doi.org/10.1038/s43588-022-00349-3",
    "alignn": "https://doi.org/10.1038/s41524-021-00650-1",
    "matformer": "https://arxiv.org/abs/2209.11807",
    "potnet": "https://arxiv.org/abs/2306.10045",
    "icomformer": "https://arxiv.org/abs/2403.11857",
    "ecomformer": "https://arxiv.org/abs/2403.11857",
}
TRANSFORMERS = {"crystalformer", "crystalframer", "matformer", "icomformer", "ecomformer"}


def discovery_yaml(name: str, targets: Sequence[SavedTarget]) -> str:
    """The text of the file."""
    first = targets[0]
    about, paper = first.about, PAPERS.get(first.model, TODO)
    date = str(about["finished"] or "")[:10] or "1970-01-01"
    content: dict[str, Any] = {
        "model_name": name,
        "model_version": about["suite_version"] or "unknown",
        "matbench_discovery_version": VERSION,
        "date_added": date,
        "date_published": date,
        "authors": [{"name": "TO-DO"}],
        "repo": TODO,
        "doi": paper,
        "paper": paper,
        "requirements": {
            package: version
            for package in ("crystalformer-suite", "torch", "numpy", "safetensors")
            if (version := package_version(package))
        },
        "trained_for_benchmark": False,
        "training_set": [about["dataset"]["label"]],
        "hyperparams": {
            "learning_rate": about["train"]["lr"],
            "batch_size": about["train"]["batch_size"],
            "epochs": about["train"]["epochs"],
            "optimizer": about["train"]["optimizer"],
        },
        "notes": {
            "Description": f"{about['label']} for {', '.join(target.target for target in targets)}",
            "Training": f"split {about['split']['rule']}, hash {about['split']['hash']}",
        },
        "model_params": about["parameters"],
        "n_estimators": len(first.seeds),
        "train_task": "RS2RE",
        "test_task": "IS2E",
        "model_type": "Transformer" if first.model in TRANSFORMERS else "GNN",
        "targets": "E",
        "openness": "OSOD",
    }
    text = StringIO()
    yaml = YAML()
    yaml.width = 100
    yaml.dump(content, text)
    return "# Before a submission, fill in what says TO-DO.\n" + text.getvalue()
