"""The parts of `benchmarks.gpu` that run anywhere."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from benchmarks import gpu, gpu_timing
from benchmarks.gpu_correctness import compare
from crystalformer.data.crystal import Crystal
from crystalformer.data.store_writer import write_store
from crystalformer.model.kernels import cpu


@pytest.fixture(autouse=True)
def one_thread():
    """The machines that run these tests are shared; small tensors gain nothing from more threads."""
    torch.set_num_threads(1)


@pytest.fixture
def toy(tmp_path):
    """Batches, rows to train on and rows to evaluate, of eight crystals with a published split."""
    rng = np.random.default_rng(0)
    crystals = [
        Crystal(f"c-{i}", 4.0 * np.eye(3), rng.random((n, 3)), rng.integers(1, 90, n), {}, split)
        for i, (n, split) in enumerate(
            zip([1, 2, 3, 2, 1, 3, 2, 2], ["train"] * 6 + ["val"] * 2, strict=True)
        )
    ]
    return gpu.open_data(str(write_store(tmp_path, "toy", crystals, {}, {})), tmp_path)


@pytest.mark.parametrize("arguments", [[], ["--interpret"]], ids=str)
def test_what_is_missing_is_said_in_one_sentence(monkeypatch, capsys, arguments):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "find_spec", lambda name: None)
    assert gpu.main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    missing = "package triton" if arguments else "a CUDA device, found none; --interpret"
    assert output.err.count("\n") == 1
    assert missing in output.err


def test_a_store_is_split_as_published(toy):
    _, train, val = toy
    assert train.tolist() == [0, 1, 2, 3, 4, 5]
    assert val.tolist() == [6, 7]


def test_times_of_steps_and_epochs(toy, monkeypatch):
    monkeypatch.setattr(gpu_timing, "STEPS", 2)
    batches, train, val = toy
    [step] = gpu_timing.step_times(batches, train, "cpu", (2, 1000), repeat=1)
    assert step["batch_size"] == 2
    assert step["ratio"] == pytest.approx(step["step_s"] / step["dense_step_s"])
    epoch = gpu_timing.epoch_times(batches, train, val, "cpu", batch_size=2, epochs=3)
    assert epoch["on_device"]
    assert (epoch["steps"], epoch["crystals"], epoch["evaluated_crystals"]) == (3, 6, 2)


def test_the_roofline_is_below_the_measurement():
    result = gpu_timing.attention_roofline(cpu.attend, "cpu", repeat=1, size=256)
    assert 0 < result["minimum_bytes"] < result["gathered_bytes"]
    assert result["operations_per_s"] == pytest.approx(
        result["operations"] / result["forward_and_backward_s"]
    )


def test_errors_are_measured_against_float64():
    cases = compare(cpu.attend, "cpu", small=True)
    assert [(case["range"], case["basis"]) for case in cases[:3]] == [(3.5, 64), (3.5, 0), (1, 64)]
    assert all(case["within_tolerance"] and case["same_bits_twice"] for case in cases)

    def wrong(q, k, v, a, images):
        averaged_v, averaged_b = cpu.attend(q, k, v, a, images)
        return averaged_v * 1.001, averaged_b

    assert not any(case["within_tolerance"] for case in compare(wrong, "cpu", small=True))


@pytest.mark.skipif(find_spec("triton") is None, reason="the GPU kernel needs triton: make test-gpu")
def test_the_interpreter_writes_json(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "interpret", lambda: {"correctness": [{"within_tolerance": True}]})
    assert gpu.main(["--interpret", "--out", str(tmp_path / "x.json")]) == 0
    assert (tmp_path / "x.json").read_text().startswith("{")
