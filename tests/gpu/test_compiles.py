"""The kernel is compiled for real GPUs, which needs none, and fits into their registers."""

import subprocess
import sys
from pathlib import Path

import pytest

COMPILE = """
import os, subprocess, sys, tempfile
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from crystalformer.model.kernels import gpu, gpu_loops

heads, width, size, masked, real, arch = *map(int, sys.argv[1:5]), sys.argv[5], int(sys.argv[6])
known = gpu.tile(heads, width, size) | {"MASKED": bool(masked), "SCALE": 0.25, "SPACING": 0.21875}
integers = ("offsets", "key", "query", "key_offsets", "order")
for function in (gpu_loops.forward_atom, gpu_loops.backward_query, gpu_loops.backward_key):
    names = function.arg_names
    kinds = {"heads": "i32", "width": "i32", "size": "i32"} | dict.fromkeys(integers, "*i64")
    signature = {n: "constexpr" if n in known else kinds.get(n, "*" + real) for n in names}
    constants = {(names.index(n),): value for n, value in known.items() if n in names}
    source = ASTSource(fn=function, signature=signature, constexprs=constants)
    options = {"num_warps": gpu.warps(gpu.tile(heads, width, size)), "enable_fp_fusion": True}
    code = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options).asm["cubin"]
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        tool = os.path.join(os.path.dirname(triton.__file__), "backends", "nvidia", "bin", "cuobjdump")
        print(subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True).stdout)
"""


@pytest.mark.parametrize(
    ("heads", "width", "size", "masked", "real", "arch"),
    [
        (8, 16, 64, 0, "fp32", 90),  # the published model on an H100 or H200
        (8, 16, 0, 1, "fp32", 90),
        (16, 8, 64, 0, "fp32", 80),
        (1, 256, 64, 0, "fp32", 90),
        (2, 512, 64, 0, "fp32", 90),
        (3, 5, 7, 1, "fp32", 90),
        (8, 16, 64, 1, "fp64", 90),
    ],
)
def test_compiled_for_a_gpu_it_fits_into_the_registers(tmp_path, heads, width, size, masked, real, arch):
    root = Path(__file__).resolve().parents[2]
    environment = {
        "PYTHONPATH": ":".join([str(root), *sys.path]),
        "TRITON_CACHE_DIR": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
    }
    values = [str(x) for x in (heads, width, size, masked, real, arch)]
    (tmp_path / "compile_kernels.py").write_text(COMPILE)  # Triton reads the source of what it compiles
    command = [sys.executable, str(tmp_path / "compile_kernels.py"), *values]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    usage = [line.split() for line in done.stdout.splitlines() if "REG:" in line]
    assert len(usage) == 3
    if real == "fp32":  # float64 is for tests
        assert all("STACK:0" in words for words in usage), done.stdout
