"""Trials that start together: one of them builds what is derived from the data, and all of them share it."""

import subprocess
import sys
from json import loads
from pathlib import Path

import numpy as np
from trial_tasks import task_of

from crystalformer.data.array_store import ArrayStore

ROOT = Path(__file__).parents[2]
TRIALS, RADIUS = 16, 60.0  # Å; some 50 MB of images

# Sixteen processes that open store and image lists as trials do, all at once, and read every byte of them.
TOGETHER = """
import json, multiprocessing, sys
import numpy as np
import psutil
import crystalformer.data.image_lists as lists
from crystalformer.data.array_store import ArrayStore

path, cache, trials, radius = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
fork = multiprocessing.get_context("fork")
together, answers = fork.Barrier(trials), fork.Queue()
built, build = 0, lists._build

def counted(*arguments):
    global built
    built += 1
    build(*arguments)

lists._build = counted

def portions(array):
    return (array[start : start + 100_000] for start in range(0, len(array), 100_000))

def trial():
    together.wait()
    store = ArrayStore.open(path, verify=False)
    opened = lists.open_image_lists(store, cache, radius)
    together.wait()
    before = psutil.Process().memory_full_info().uss
    arrays = [*opened, store.lattices, store.frac_coords, store.numbers, store.offsets]
    total = sum(float(part.sum(dtype=np.float64)) for array in arrays for part in portions(array))
    together.wait()
    mine = psutil.Process()
    maps = [each for each in mine.memory_maps(grouped=False) if each.path.startswith((path, cache))]
    grown, size = mine.memory_full_info().uss - before, sum(array.nbytes for array in arrays)
    resident, dirty = sum(each.rss for each in maps), sum(each.private_dirty for each in maps)
    sizes = {"size": size, "resident": resident, "dirty": dirty, "grown": grown}
    answers.put({"built": built, "total": total, **sizes})
    together.wait()

processes = [fork.Process(target=trial) for _ in range(trials)]
for process in processes:
    process.start()
print(json.dumps([answers.get() for _ in processes]))
for process in processes:
    process.join()
"""


def test_sixteen_trials_that_start_together_build_once_and_share_every_byte(tmp_path: Path) -> None:
    task = task_of(tmp_path, "cgcnn")
    command = [sys.executable, "-c", TOGETHER, task.store, task.cache, str(TRIALS), str(RADIUS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    trials = loads(done.stdout)
    assert len(trials) == TRIALS
    assert sum(trial["built"] for trial in trials) == 1
    assert len({trial["total"] for trial in trials}) == 1
    size = trials[0]["size"]
    assert size > 20_000_000
    for trial in trials:
        assert trial["resident"] >= 0.9 * size  # it has read them all
        assert trial["dirty"] == 0  # and holds none of it as a copy of its own,
        assert trial["grown"] < 0.1 * size  # nor has it taken memory elsewhere for them


def test_an_opened_store_owns_none_of_its_arrays(tmp_path: Path) -> None:
    store = ArrayStore.open(Path(task_of(tmp_path, "cgcnn").store), verify=False)
    for array in (store.lattices, store.frac_coords, store.numbers, store.offsets):
        assert not array.flags.writeable
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert isinstance(base, np.memmap)
