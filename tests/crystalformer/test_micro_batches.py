"""A batch in parts: the gradient of the whole; smaller parts after a lack of memory; what counts as one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scarce_memory import bounded_passes

from crystalformer.data.parts import balanced_parts
from crystalformer.data.targets import TargetScaler
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.training.config import TrainConfig
from crystalformer.training.loop import Trainer, TrainingData
from crystalformer.training.memory import out_of_memory

MODEL = CrystalformerConfig(
    num_layers=2, width=16, heads=2, ff_width=16, value_basis=8, lattice_range="radius", radius=4.0
)
# SGD: Adam would enlarge the rounding of gradients that are nearly zero.
CONFIG = TrainConfig(epochs=3, batch_size=8, lr=0.01, optimizer="sgd", swa_epochs=1)


@pytest.fixture
def data(toy_batches):
    values = 3 + 2 * toy_batches.scaled_targets[:, 0]
    scaler = TargetScaler.fit(values[:8][:, None], "eV")
    toy_batches.scaled_targets = scaler.scale(values[:, None])
    return TrainingData(toy_batches, np.arange(8), np.arange(8, 12), values, toy_batches.store.sizes, scaler)


def trainer(data, **changes):
    torch.manual_seed(0)
    model = Crystalformer(MODEL)
    model.calibrate(data.make_batch(data.train[:4]))
    return Trainer(model, data, replace(CONFIG, **changes), seed=1)


def weights(run):
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


@given(st.lists(st.integers(1, 200), max_size=40), st.integers(1, 6), st.none() | st.integers(1, 40))
def test_parts_hold_every_crystal_once_and_are_balanced(sizes, parts, most):
    sizes = np.array(sizes, dtype=np.int64)
    if most is not None and most * parts < len(sizes):
        with pytest.raises(ValueError, match=f"expected enough of at most {most} for {len(sizes)} crystals"):
            balanced_parts(sizes, parts, most)
        return
    divided = balanced_parts(sizes, parts, most)
    assert sorted(np.concatenate(divided).tolist()) == list(range(len(sizes)))
    assert all(len(part) <= (most or len(sizes)) for part in divided)
    if most is None and len(sizes):
        atoms = [sizes[part].sum() for part in divided]
        assert max(atoms) - min(atoms) <= sizes.max()


@pytest.mark.parametrize("micro_batch", [1, 3, 7])
def test_small_passes_train_as_the_whole_batch_does(data, micro_batch):
    whole, parts = trainer(data), trainer(data, micro_batch=micro_batch)
    largest = 0
    make_batch = parts._gradient._make_batch

    def watched(rows):
        nonlocal largest
        largest = max(largest, len(rows))
        return make_batch(rows)

    parts._gradient._make_batch = watched
    for _ in range(CONFIG.epochs):
        expected, record = whole.run_epoch(), parts.run_epoch()
        assert record.train_mae == pytest.approx(expected.train_mae, rel=1e-5)
        assert record.grad_norm == pytest.approx(expected.grad_norm, rel=1e-4)
        assert record.val_mae == pytest.approx(expected.val_mae, rel=1e-4)
    assert 1 <= largest <= micro_batch
    torch.testing.assert_close(weights(parts), weights(whole), rtol=1e-5, atol=1e-6)


def test_after_a_lack_of_memory_the_step_is_taken_in_smaller_passes(data):
    whole, short = trainer(data, swa_epochs=0), trainer(data, swa_epochs=0, micro_batch="auto")
    passes = bounded_passes(short.model, holds=2)
    expected, record = whole.run_epoch(), short.run_epoch()
    assert passes[:7] == [8, 4, 2, 2, 2, 2, 2]  # tried, tried, a step in four passes, and validation
    assert record.train_mae == pytest.approx(expected.train_mae, rel=1e-5)
    assert short.crystals_at_once == 2
    torch.testing.assert_close(weights(short), weights(whole), rtol=1e-5, atol=1e-6)


def test_validation_shrinks_its_batches_as_well(data):
    run = trainer(data, swa_epochs=0, micro_batch="auto")
    expected = trainer(data, swa_epochs=0)._validate(run.model)
    passes = bounded_passes(run.model, holds=1)
    assert run._validate(run.model) == pytest.approx(expected, rel=1e-5)
    assert passes == [4, 2, 1, 1, 1, 1]


def test_it_is_given_up_where_one_crystal_is_too_large_or_nobody_asked(data):
    run = trainer(data, micro_batch="auto")
    bounded_passes(run.model, holds=0)
    with pytest.raises(torch.OutOfMemoryError):
        run.run_epoch()
    assert run.crystals_at_once == 1
    fixed = trainer(data, micro_batch=4)
    passes = bounded_passes(fixed.model, holds=2)
    with pytest.raises(torch.OutOfMemoryError):
        fixed.run_epoch()
    assert passes == [4]


def test_another_error_is_no_lack_of_memory(data):
    run = trainer(data, micro_batch="auto")

    def fail(batch):
        raise RuntimeError("expected 3 columns, got 4")

    run.model.forward = fail
    with pytest.raises(RuntimeError, match="3 columns"):
        run.run_epoch()
    assert run.crystals_at_once == CONFIG.batch_size


def raised(error, cause=None):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "lacking"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (raised(RuntimeError("the kernel failed"), MemoryError("Allocation failed")), True),
        (KeyError("out of memory"), False),
        (RuntimeError("memory format is not contiguous"), False),
    ],
)
def test_what_counts_as_a_lack_of_memory(error, lacking):
    assert out_of_memory(error) is lacking


def test_numpy_and_numba_are_recognised_by_what_they_really_raise():
    import numba

    for allocate in (lambda: np.empty(2**55), lambda: numba.njit(lambda n: np.empty(n))(2**55)):
        with pytest.raises(Exception) as error:
            allocate()
        assert out_of_memory(error.value)


def test_pytorch_is_recognised_by_what_it_really_raises():
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**55)
    assert out_of_memory(error.value)
