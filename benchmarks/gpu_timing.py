"""Times on a device: training steps by batch size, epochs, and the attention sum against the roofline."""

import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
import torch
from torch.nn import functional

from benchmarks.batch import RADIUS, fixed_batch
from benchmarks.gpu_correctness import BASIS, HEADS, R_MAX, SIGMA_MAX, WIDTH, inputs, on_device, run
from benchmarks.step import copy_instead
from crystalformer.data.image_batch import ImageBatches
from crystalformer.data.targets import TargetScaler
from crystalformer.layers.radial_basis import GaussianBasis
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.images import list_images_within
from crystalformer.model.kernels.dispatch import Attend
from crystalformer.training.config import TrainConfig
from crystalformer.training.device_steps import DeviceSteps, resident
from crystalformer.training.loop import Trainer, TrainingData
from crystalformer.training.optimizers import build_optimizer

STEPS = 20  # timed together


def step_times(
    batches: ImageBatches, rows: np.ndarray, device: str, sizes: Sequence[int], repeat: int
) -> list[dict[str, float]]:
    """Median times of a training step, whole and with the attention sum replaced by a copy."""
    results: list[dict[str, float]] = []
    for size in sizes:
        if size > len(rows):
            continue
        step, dense = (_step_time(batches, rows, device, size, repeat, copied) for copied in (False, True))
        results.append(
            {
                "batch_size": size,
                "step_s": step,
                "dense_step_s": dense,
                "ratio": step / dense,
                "crystals_per_s": size / step,
            }
        )
    return results


def epoch_times(
    batches: ImageBatches, train: np.ndarray, val: np.ndarray, device: str, batch_size: int, epochs: int
) -> dict[str, object]:
    """Seconds of epochs of the usual trainer at its default settings; the first compiles and captures."""
    scaler = TargetScaler.fit(batches.scaled_targets[train], None)
    values = batches.scaled_targets[:, 0]
    data = TrainingData(batches, train, val, values, batches.store.sizes, scaler)
    model = _model(batches, train, device)
    config = TrainConfig(epochs=epochs, batch_size=batch_size, swa_epochs=0)
    run_ = Trainer(model, data, config, seed=0, device=device, on_device=True)
    records = list(run_)
    later = [record.seconds for record in records[2:]] or [records[-1].seconds]
    sizes = batches.store.sizes
    return {
        "crystals": len(train),
        "atoms": int(sizes[train].sum()),
        "batch_size": batch_size,
        "steps": run_.steps_per_epoch,
        "on_device": run_.on_device,
        "first_epoch_s": records[0].seconds,
        "epoch_s": median(later),
        "evaluation_s": median(record.eval_seconds for record in records),
        "evaluated_crystals": len(val),
        "train_mae_first_last": [records[0].train_mae, records[-1].train_mae],
    }


def attention_roofline(attend: Attend, device: str, repeat: int, size: int) -> dict[str, object]:
    """Operations and bytes of one attention sum, forward and backward, and how fast they went.

    The batch is the fixed one of `benchmarks.batch`. `minimum_bytes` counts every array once;
    `gathered_bytes` what the programs read in all, most of it from caches. `size` sets that of the arrays
    from which the device's own limits are measured.
    """
    batch = fixed_batch()
    basis = GaussianBasis(BASIS, R_MAX)
    images = list_images_within(batch.positions, batch.lattices, batch.sizes, RADIUS, SIGMA_MAX, basis)
    moved = on_device(images, device, torch.float32)
    atoms, count = len(batch.numbers), len(images.key)
    qkva, grads = ([x.to(device) for x in part] for part in inputs(atoms, torch.float32))
    _ = moved.by_key
    seconds = _seconds(lambda: run(attend, moved, qkva, grads), device, repeat)
    feature, number = HEADS * WIDTH, 4
    operations = count * (HEADS * (14 * WIDTH + 4 * BASIS + 30) + 2 * 5 * BASIS)
    minimum = number * (atoms * (12 * feature + 3 * HEADS * BASIS + 8 * HEADS) + 4 * count * HEADS)
    minimum += 52 * count  # keys, queries and order as int64, distances
    gathered = minimum + number * count * 6 * feature
    bandwidth, arithmetic = _bandwidth(device, size, repeat), _arithmetic(device, size, repeat)
    return {
        "atoms": atoms,
        "images": count,
        "forward_and_backward_s": seconds,
        "operations": operations,
        "minimum_bytes": minimum,
        "gathered_bytes": gathered,
        "operations_per_s": operations / seconds,
        "minimum_bytes_per_s": minimum / seconds,
        "gathered_bytes_per_s": gathered / seconds,
        "measured_copy_bytes_per_s": bandwidth,
        "measured_float32_matmul_operations_per_s": arithmetic,
        "roofline_s": max(minimum / bandwidth, operations / arithmetic),
    }


def _model(batches: ImageBatches, rows: np.ndarray, device: str) -> Crystalformer:
    torch.manual_seed(0)
    model = Crystalformer(CrystalformerConfig(lattice_range="radius", radius=RADIUS)).to(device)
    model.calibrate(batches(rows[:128]).to(device))
    return model


def _step_time(
    batches: ImageBatches, rows: np.ndarray, device: str, size: int, repeat: int, copied: bool
) -> float:
    model = _model(batches, rows, device)
    if copied:
        for block in model.blocks:
            block.attention.attend = copy_instead
    config = TrainConfig(batch_size=size)
    here = resident(batches, model, rows, torch.device(device))
    assert here is not None
    optimizer = build_optimizer(model, config)
    steps = DeviceSteps(model, here, rows, optimizer, config, functional.l1_loss)
    generator = np.random.default_rng(0)
    order = [generator.choice(rows, size, replace=False) for _ in range(STEPS)]

    def some_steps() -> None:
        steps.run(order, [config.lr] * STEPS, lambda: None)

    for _ in range(2):  # compiles, then captures
        some_steps()
    return _seconds(some_steps, device, repeat) / STEPS


def _seconds(function: Callable[[], object], device: str, repeat: int) -> float:
    """Median time of a call, everything it started on the device included."""
    function()
    times = []
    for _ in range(repeat):
        _wait(device)
        started = time.perf_counter()
        function()
        _wait(device)
        times.append(time.perf_counter() - started)
    return median(times)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _bandwidth(device: str, size: int, repeat: int) -> float:
    source = torch.rand(16 * size**2, device=device)
    target = torch.empty_like(source)
    return 2 * 4 * source.numel() / _seconds(lambda: target.copy_(source), device, repeat)


def _arithmetic(device: str, size: int, repeat: int) -> float:
    x, y = (torch.rand(size, size, device=device) for _ in range(2))
    return 2 * size**3 / _seconds(lambda: x @ y, device, repeat)
