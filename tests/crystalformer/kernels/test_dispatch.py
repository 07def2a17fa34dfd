"""Which kernel runs when, and where machine code is kept."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from crystalformer import compiled
from crystalformer.model.kernels import cpu, dispatch, reference, tables, team
from crystalformer.model.kernels.dispatch import choose_kernel


@pytest.fixture
def calls(monkeypatch):
    """The kernels that were called, by name."""
    called = []
    for name, module in (("cpu", cpu), ("reference", reference)):
        attend = module.attend
        monkeypatch.setattr(module, "attend", lambda *x, a=attend, n=name: (called.append(n), a(*x))[1])
    return called


def test_auto_takes_the_fused_kernel_where_it_can(image_list, cell, inputs, calls):
    images, (qkva, _) = image_list([cell(3)], 4.0), inputs(3)
    auto = choose_kernel("auto")
    auto(*qkva, images)
    auto(*(x.float() for x in qkva), replace(images, distance=images.distance.float()))
    auto(*qkva, replace(images, distance=images.distance.clone().requires_grad_()))
    half = replace(images, distance=images.distance.bfloat16())
    auto(*(x.bfloat16() for x in qkva), replace(half, basis=None))
    assert calls == ["cpu", "cpu", "reference", "reference"]


def test_a_named_kernel_is_that_kernel(monkeypatch):
    assert choose_kernel("cpu") is cpu.attend
    assert choose_kernel("reference") is reference.attend
    with pytest.raises(ValueError, match="kernel: expected 'auto', 'reference', 'cpu' or 'gpu', got 'tpu'"):
        choose_kernel("tpu")
    monkeypatch.setattr(dispatch, "find_spec", lambda name: None)
    assert choose_kernel("auto") is reference.attend
    with pytest.raises(ValueError, match="kernel: expected an installed package numba for 'cpu', found none"):
        choose_kernel("cpu")


def test_the_gpu_kernel_asks_for_what_it_needs(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(dispatch, "find_spec", lambda name: object())
    with pytest.raises(ValueError, match="kernel: expected a CUDA device for 'gpu', found none; use 'auto'"):
        choose_kernel("gpu")
    monkeypatch.setattr(dispatch, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"installed package triton for 'gpu', 3\.6 or newer, found none"):
        choose_kernel("gpu")


def test_auto_has_a_kernel_for_each_device(monkeypatch):
    monkeypatch.setattr(dispatch, "find_spec", lambda name: object())
    assert [dispatch.fused_kernel(device) for device in ("cpu", "cuda", "mps")] == ["cpu", "gpu", None]
    monkeypatch.setattr(dispatch, "find_spec", lambda name: object() if name == "numba" else None)
    assert [dispatch.fused_kernel(device) for device in ("cpu", "cuda")] == ["cpu", None]


def test_an_old_triton_is_as_good_as_none(monkeypatch):
    monkeypatch.setattr(dispatch, "find_spec", lambda name: object())
    for found, kernel in (
        ("3.2.0", None),
        ("3.5.1", None),
        ("3.6.0", "gpu"),
        ("3.10.0", "gpu"),
        ("4.0", "gpu"),
    ):
        monkeypatch.setattr(dispatch, "version", lambda name, found=found: found)
        assert dispatch.fused_kernel("cuda") == kernel, found
    monkeypatch.setattr(dispatch, "version", lambda name: "3.4.0")
    with pytest.raises(ValueError, match=r"3\.6 or newer, found 3\.4\.0; install the extra 'gpu'"):
        choose_kernel("gpu")


def test_threads_of_python_give_the_same_bits(image_list, cell, inputs, monkeypatch):
    images, (qkva, _) = image_list([cell(n, n) for n in (5, 9, 2, 14)], 5.0), inputs(30)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        expected = cpu.attend(*qkva, images)
        monkeypatch.setattr(team, "_openmp", lambda: None)
        found = cpu.attend(*qkva, images)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))


def test_crystals_left_unfinished_are_noticed(image_list, cell, inputs, monkeypatch):
    monkeypatch.setattr(tables, "run_in_threads", lambda function, argument, threads: None)
    with pytest.raises(RuntimeError, match="finished 0 of 2 crystals"):
        cpu.attend(*inputs(5)[0], image_list([cell(2), cell(3)], 4.0))


HITS = """
import torch
from crystalformer import compiled
from crystalformer.model.kernels import cpu
cpu._forward(torch.float64)
print("read from disk:", compiled._KEPT[0].cache_hits)
"""


def test_another_process_finds_the_machine_code(image_list, cell, inputs):
    cpu.attend(*inputs(2)[0], image_list([cell(2)], 4.0))
    if compiled.cache_folder(Path(cpu.__file__).parent) is None:
        pytest.skip("no folder for machine code can be written to")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.run([sys.executable, "-c", HITS], env=environment, capture_output=True, text=True)
    assert output.stdout == "read from disk: 1\n", output.stderr


def test_the_folder_of_machine_code_follows_the_sources_and_what_can_be_written(tmp_path, monkeypatch):
    sources, home = tmp_path / "package", tmp_path / "home"
    sources.mkdir()
    (sources / "a.py").write_text("1")
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    find = compiled.cache_folder.__wrapped__
    first = find(sources)
    assert first.parent == sources / "__pycache__"
    (sources / "a.py").write_text("2")
    second = find(sources)
    assert first != second
    writable = compiled._writable
    monkeypatch.setattr(compiled, "_writable", lambda f: sources not in f.parents and writable(f))
    assert find(sources) == home / "crystalformer" / second.name
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    assert find(sources) == tmp_path / "chosen" / second.name
    monkeypatch.setattr(compiled, "_writable", lambda f: False)
    assert find(sources) is None


def test_without_a_folder_functions_are_compiled_all_the_same(monkeypatch):
    monkeypatch.setattr(compiled, "cache_folder", lambda sources: None)

    def double(x):
        return 2 * x

    np.testing.assert_array_equal(compiled.compiled(double)(np.arange(3)), [0, 2, 4])
