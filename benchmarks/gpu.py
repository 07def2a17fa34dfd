"""Measures the GPU kernel and training on a GPU: `python -m benchmarks.gpu [--out FILE] [--data PATH]`.

One call of a few minutes: correctness against the float64 reference, time of a training step by batch size,
time of an epoch, and the attention sum against the roofline. The result is one JSON object. Without a CUDA
device the exit code is 2; `--interpret` runs the correctness part in Triton's interpreter instead.
"""

import argparse
import datetime
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.batch import DATASET, RADIUS

BATCH_SIZES = (32, 64, 128, 256, 512)
EPOCHS = 6


class CannotMeasure(Exception):
    """A device or package is missing."""


def measure(data: str, out_folder: Path) -> dict[str, object]:
    """Everything, on the CUDA device."""
    from benchmarks.gpu_correctness import compare
    from benchmarks.gpu_timing import attention_roofline, epoch_times, step_times
    from crystalformer.model.kernels.dispatch import choose_kernel

    attend = choose_kernel("gpu")
    batches, train, val = open_data(data, out_folder)
    return {
        **_about("cuda"),
        "correctness": compare(attend, "cuda", small=False),
        "data": {"name": batches.store.name, "digest": batches.store.digest},
        "steps": step_times(batches, train, "cuda", BATCH_SIZES, repeat=7),
        "epoch": epoch_times(batches, train, val, "cuda", 128, EPOCHS),
        "roofline": attention_roofline(attend, "cuda", repeat=20, size=4096),
    }


def interpret() -> dict[str, object]:
    """The correctness part on a few small crystals, on the CPU."""
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports the kernel
    from benchmarks.gpu_correctness import compare
    from crystalformer.model.kernels.dispatch import choose_kernel

    return {**_about("interpreter"), "correctness": compare(choose_kernel("gpu"), "cpu", small=True)}


def open_data(data: str, folder: Path):  # type: ignore[no-untyped-def]
    """Batches with random targets, rows to train on and rows to evaluate.

    `data` is the name of a bundled data set, the path of a table, or the folder of an array store. Published
    splits are used where the crystals carry their labels; else a tenth is evaluated.
    """
    from crystalformer.data.array_store import ArrayStore
    from crystalformer.data.image_batch import ImageBatches
    from crystalformer.sources.convert import prepare

    if (Path(data) / "manifest.json").is_file():
        store = ArrayStore.open(data)
    else:
        store = prepare(data, folder, max_rejected=0.5)
    targets = np.random.default_rng(1).normal(size=(len(store), 1))
    labels = np.array([label or "" for label in store.split_labels])
    train, val = (np.flatnonzero(labels == label) for label in ("train", "val"))
    if not len(train) or not len(val):
        shuffled = np.random.default_rng(0).permutation(len(store))
        val, train = np.split(shuffled, [max(1, len(store) // 10)])
    return ImageBatches(store, targets, folder, RADIUS), train, val


def _about(device: str) -> dict[str, object]:
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    import triton

    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": device,
        "device_name": name,
        "torch": torch.__version__,
        "triton": triton.__version__,
    }


def _require(device: bool) -> None:
    if device and not torch.cuda.is_available():
        raise CannotMeasure(
            "expected a CUDA device, found none; --interpret checks the kernel's results on the CPU"
        )
    if find_spec("triton") is None:
        raise CannotMeasure("expected an installed package triton, found none; install the extra 'gpu'")


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--out", type=Path, help="file for the JSON object; printed if not given")
    parser.add_argument(
        "--data", default=DATASET, help="bundled data set, table or array store; default: %(default)s"
    )
    parser.add_argument("--interpret", action="store_true", help="correctness only, on the CPU")
    options = parser.parse_args(arguments)
    try:
        _require(device=not options.interpret)
    except CannotMeasure as error:
        print(f"benchmarks.gpu: {error}", file=sys.stderr)
        return 2
    with TemporaryDirectory() as folder:
        result = interpret() if options.interpret else measure(options.data, Path(folder))
    text = json.dumps(result, indent=2)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
    return 0 if all(case["within_tolerance"] for case in result["correctness"]) else 1  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main())
