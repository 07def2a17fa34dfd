"""A model as a folder that needs no run: `config.json` and `model.safetensors`.

| file | content |
|---|---|
| `config.json` | format, SHA-256 of the weights, and the saved targets (`SavedTarget`) |
| `model.safetensors` | tensors `<target>/<seed>/<parameter>` of all targets and seeds |

Weights are float32, or float16 to halve the file; they are loaded as float32 either way.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from crystalformer.data.manifest import file_sha256
from suite.prediction.saved import SavedTarget, TrainedTarget, UnusableModel, Weights
from suite.records import read_json, write_json

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"


def write_exported(folder: Path, targets: Sequence[TrainedTarget], half: bool = False) -> None:
    """Write both files; `half` stores the weights as float16."""
    tensors: dict[str, Tensor] = {}
    for trained in targets:
        for seed, weights in zip(trained.saved.seeds, trained.weights, strict=True):
            for name, tensor in weights.items():
                stored = tensor.half() if half and tensor.dtype == torch.float32 else tensor
                tensors[f"{trained.saved.target}/{seed}/{name}"] = stored.contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    write_json(
        folder / CONFIG,
        {
            "format": FORMAT,
            "weights_sha256": file_sha256(folder / WEIGHTS),
            "targets": [trained.saved.to_dict() for trained in targets],
        },
    )


def read_exported(folder: Path, model: str | None = None) -> list[TrainedTarget]:
    """The targets of an exported folder; `model` is what it has to be.

    Raises:
        UnusableModel: a file is missing or damaged, or it is another model.
    """
    targets, checksum = _config(folder / CONFIG)
    other = next((target.model for target in targets if model not in (None, target.model)), None)
    if other:
        raise UnusableModel(f"{folder}: model: expected {other}, which was exported, got {model!r}")
    tensors = _tensors(folder / WEIGHTS, checksum)
    return [
        TrainedTarget(target, tuple(_under(tensors, f"{target.target}/{seed}/") for seed in target.seeds))
        for target in targets
    ]


def read_saved(folder: Path) -> list[SavedTarget]:
    """The same without the weights."""
    return _config(folder / CONFIG)[0]


def _config(path: Path) -> tuple[list[SavedTarget], str]:
    """The targets of a `config.json` and the SHA-256 of the weights."""
    try:
        config = read_json(path)
        if config["format"] != FORMAT:
            raise ValueError(f"format {config['format']!r}, this version reads {FORMAT}")
        return [SavedTarget.from_dict(fields) for fields in config["targets"]], config["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UnusableModel(f"{path}: expected an exported model, got a damaged file ({reason})") from None


def _tensors(path: Path, checksum: str) -> dict[str, Tensor]:
    found = file_sha256(path) if path.is_file() else "no such file"
    if found != checksum:
        raise UnusableModel(f"{path}: expected SHA-256 {checksum}, got {found}; export the model again")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UnusableModel(f"{path}: expected weights, got a file that cannot be read ({error})") from None


def _under(tensors: dict[str, Tensor], prefix: str) -> Weights:
    return {
        name.removeprefix(prefix): tensor.float() if tensor.dtype == torch.float16 else tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
