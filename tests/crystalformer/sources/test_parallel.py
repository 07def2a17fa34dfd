"""Conversion in processes: the same result in the same order, whatever a record does to its process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from damaged_files import ARRAYS, CIF

from crystalformer.data.crystal import Crystal
from crystalformer.sources import parallel
from crystalformer.sources.parallel import convert_rows
from crystalformer.sources.records import Record, Rejection, Row
from crystalformer.sources.structures import Rules

ROOT = Path(parallel.__file__).resolve().parents[2]


def rows(count: int) -> Iterator[Row]:
    for i in range(count):
        if i % 7 == 3:
            yield Rejection(f"c-{i}", f"line {i}", "not even a row")
        else:
            text = CIF.replace("4.12", f"{4 + i / 1000:.3f}") if i % 5 else "no cif"
            yield Record(f"c-{i}", f"line {i}", "cif", text, {"y": float(i)})


def outcome(result: Crystal | Rejection) -> tuple:
    if isinstance(result, Rejection):
        return result.id, result.reason
    return result.id, result.targets, result.lattice.tolist()


def test_processes_give_what_one_gives_in_the_order_of_the_rows() -> None:
    alone = [outcome(result) for _, result in convert_rows(rows(150), Rules(), workers=0)]
    assert len(alone) == 150
    assert alone == [outcome(result) for _, result in convert_rows(rows(150), Rules(), workers=2)]
    assert list(convert_rows(iter(()), Rules(), workers=2)) == []
    only = [Rejection("x", "line 1", "no")] * 500
    assert [result for _, result in convert_rows(only, Rules(), workers=1)] == only


def test_a_record_that_ends_its_process_is_rejected_alone() -> None:
    """A CIF that keeps pymatgen busy for longer than allowed; those before and after it are read."""
    places = [(i / 4000, i * 7 % 4000 / 4000, i * 13 % 4000 / 4000) for i in range(2500)]
    atoms = "\n".join(f"H{i} H {x:.6f} {y:.6f} {z:.6f} 1" for i, (x, y, z) in enumerate(places))
    slow = CIF.replace("Cs1 Cs 0 0 0 1\nCl1 Cl 0.5 0.5 0.5 1", atoms)
    records = [Record(f"c-{i}", f"line {i}", "cif", slow if i == 5 else CIF) for i in range(20)]
    results = [result for _, result in convert_rows(records, Rules(), workers=1, seconds=1.0)]
    assert [type(result) for result in results] == [Crystal] * 5 + [Rejection] + [Crystal] * 14
    assert results[5] == Rejection("c-5", "line 5", "took more than 1 s of CPU time to read")


def test_a_process_that_is_killed_costs_one_record() -> None:
    records = [Record(f"c-{i}", f"line {i}", "cif", CIF) for i in range(400)]
    results = []
    for number, (_, result) in enumerate(convert_rows(records, Rules(), workers=1)):
        results.append(result)
        if number == 0:
            (child,) = workers_of(psutil.Process())
            os.kill(child.pid, signal.SIGKILL)
    rejected = [result for result in results if isinstance(result, Rejection)]
    assert len(results) == 400
    assert len(rejected) <= 1
    assert all("took too much memory, or crashed" in rejection.reason for rejection in rejected)


def test_no_process_is_left_when_the_rest_is_not_wanted() -> None:
    records = (Record(f"c-{i}", f"line {i}", "cif", CIF) for i in range(10_000))
    results = convert_rows(records, Rules(), workers=2)
    next(results)
    assert workers_of(psutil.Process())
    results.close()  # type: ignore[attr-defined]
    assert not workers_of(psutil.Process())


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    return [p for p in process.children() if "crystalformer.sources.worker" in " ".join(p.cmdline())]


SCRIPT = """
import signal, sys
from crystalformer.sources.convert import convert
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
print("begun", flush=True)
convert(sys.argv[1], sys.argv[2], workers=2)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_conversion_leaves_nothing(tmp_path: Path, how: int) -> None:
    import csv

    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["id", "cif"])
        lines.writerows((f"c-{i}", CIF) for i in range(20_000))
    root = tmp_path / "data"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path), str(root)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    watched = psutil.Process(process.pid)
    wait_for(lambda: any(p.stat().st_size > 10_000 for p in root.glob(".t.tmp-*/lattices.npy")))
    children = workers_of(watched)
    assert children
    process.send_signal(how)
    process.wait(60)
    wait_for(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))
    assert not list(root.glob("t-*"))
    if how == signal.SIGKILL:  # what it left is removed by the next conversion
        assert list(root.glob(".t.tmp-*"))
        path.write_text("id,species,lattice,frac\na," + ",".join(f'"{ARRAYS[k]}"' for k in ARRAYS) + "\n")
        from crystalformer.sources.convert import convert

        assert len(convert(path, root).store) == 1
    assert not list(root.glob(".t.tmp-*"))


def wait_for(condition, seconds: float = 100.0) -> None:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds
        time.sleep(0.05)


def test_workers_do_not_import_torch() -> None:
    code = "import sys, crystalformer.sources.worker as w; w._warm_up(); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "False"


def test_arrays_need_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_in_processes", lambda *_: pytest.fail("started"))
    records = (Record(f"c-{i}", f"line {i}", "arrays", ARRAYS) for i in range(2000))
    results = [result for _, result in convert_rows(records, Rules())]
    assert len(results) == 2000
    np.testing.assert_allclose(results[-1].lattice, 4.12 * np.eye(3))  # type: ignore[union-attr]
