"""The state of a `Trainer` in one safetensors file: written atomically, read without pickle.

Tensors: model, averaged model, optimiser moments, random generator. The header's metadata holds the epoch,
its record and the settings the state belongs to, as JSON.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from crystalformer.durable import to_disk
from crystalformer.training.averaging import WeightAverage
from crystalformer.training.loop import EpochRecord, Trainer


class CheckpointError(ValueError):
    """A checkpoint is damaged or belongs to other settings."""


def save_checkpoint(path: Path, trainer: Trainer, settings: dict) -> None:
    """Write the trainer's state; `settings` (JSON) is what a later run must share to continue it."""
    tensors: dict[str, Tensor] = {"rng": torch.get_rng_state()}
    tensors |= _prefixed("model", trainer.model.state_dict())
    if trainer.average is not None:
        tensors |= _prefixed("average", trainer.average.state())
    for index, state in trainer.optimizer.state_dict()["state"].items():
        tensors |= _prefixed(f"optimizer/{index}", {k: v for k, v in state.items() if v is not None})
    header = {
        "epoch": trainer.epoch,
        "record": asdict(trainer.last_record) if trainer.last_record else None,
        "settings": settings,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, partial, metadata={"state": json.dumps(header)})
        to_disk(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def checkpoint_epoch(path: Path) -> int:
    """Epochs done in the checkpoint at `path`; 0 where there is none or it cannot be read."""
    try:
        return int(_read_header(path)["epoch"])
    except CheckpointError:
        return 0


def load_checkpoint(path: Path, trainer: Trainer, settings: dict) -> EpochRecord | None:
    """Restore the trainer's state and return the record of its last epoch.

    Raises:
        CheckpointError: the file is missing, damaged, or was written for other settings.
    """
    header = _read_header(path)
    if header["settings"] != settings:
        differing = sorted(
            key
            for key in header["settings"].keys() | settings.keys()
            if header["settings"].get(key) != settings.get(key)
        )
        raise CheckpointError(
            f"{path}: expected a checkpoint of these settings, got one that differs in {', '.join(differing)}"
        )
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    trainer.model.load_state_dict(_under("model", tensors))
    if averaged := _under("average", tensors):
        trainer.average = WeightAverage(trainer.model, trainer.config.ema_decay)
        trainer.average.load_state(averaged)
    _load_optimizer(trainer.optimizer, _under("optimizer", tensors))
    torch.set_rng_state(tensors["rng"])
    trainer.forget_device_steps()
    trainer.epoch = header["epoch"]
    trainer.last_record = EpochRecord(**header["record"]) if header["record"] else None
    return trainer.last_record


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split("/", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _read_header(path: Path) -> dict:
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads(file.metadata()["state"])
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path}: expected a checkpoint, got a file that cannot be read ({error})"
        ) from error


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}/"): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}/")
    }
