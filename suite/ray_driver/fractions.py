"""Which part of a GPU a configuration gets (`gpu: auto`): measured by a step, in a worker that has the GPU.

A configuration is measured in a part as large as any that its model has needed so far, the first of a model
on a whole GPU; where that is too small, in the next larger one. So measuring waits for no more than training.
"""

import json
import logging
import tempfile
from dataclasses import dataclass, replace
from typing import Any

import ray

from crystalformer.training.memory import out_of_memory
from suite.fraction import larger, part_of_gpu
from suite.probe import needs
from suite.ray_driver.share import claim, gpu_memory_mb
from suite.space.search_space import SearchSpace
from suite.training_setup import TrainingSetup
from suite.trial_task import TrialTask

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Answer:
    """What a worker found; None: not known. `lacking`: its part of the GPU was too small."""

    added_mb: float | None
    total_mb: float | None
    lacking: bool = False


class Fractions:
    """The GPUs of each task.

    Args:
        space: says what is asked for.
        resources: of the cluster.
    """

    def __init__(self, space: SearchSpace, resources: dict[str, float]) -> None:
        self._spec, self._concurrent = space.resources, space.search.concurrent
        self._present = resources.get("GPU", 0.0)
        self._known: dict[str, float] = {}
        self._largest: dict[str, float] = {}  # model -> of its configurations
        self._asked: dict[str, tuple[Any, float]] = {}  # reference, the part it was measured in
        self._measurable = True

    @property
    def most(self) -> float:
        """The GPUs that a trial asks for at most."""
        if self._spec.gpu == "auto":
            return 1.0 if self._present else 0.0
        return float(self._spec.gpu)

    def of(self, task: TrialTask) -> float | None:
        """GPUs of a task; None while that is being found out: ask again."""
        if self._spec.gpu != "auto" or not self._present:
            return self.most
        if not self._measurable:
            return self._equal_share()
        key = _what_needs_memory(task)
        if key in self._known:
            return self._known[key]
        if key not in self._asked:
            self._ask(key, task, self._largest.get(task.model, 1.0))
        reference, part = self._asked[key]
        if not ray.wait([reference], timeout=0)[0]:
            return None
        return self._conclude(key, task, self._asked.pop(key)[0], part)

    def _ask(self, key: str, task: TrialTask, part: float) -> None:
        remote = ray.remote(num_cpus=self._spec.cpu, num_gpus=part, max_retries=2)(_measure)
        self._asked[key] = (remote.remote(task, part, self._spec.gpu_memory_gb), part)

    def _conclude(self, key: str, task: TrialTask, reference: Any, part: float) -> float | None:
        try:
            answer: _Answer = ray.get(reference)
        except ray.exceptions.RayError as error:
            log.warning("%s: not measured, so it gets a whole GPU: %s", task.run_id, error)
            answer = _Answer(None, None)
        else:
            if answer.lacking and part < 1:
                self._ask(key, task, larger(part))
                return None
            if answer.total_mb is None:
                self._measurable = False
                return self._equal_share()
        known = answer.added_mb is not None and answer.total_mb is not None
        found = part_of_gpu(answer.added_mb, answer.total_mb) if known else 1.0  # type: ignore[arg-type]
        self._known[key] = found
        self._largest[task.model] = max(found, self._largest.get(task.model, 0.0))
        return found

    def _equal_share(self) -> float:
        """Where the memory of a GPU is not known: as many trials on each as run at a time."""
        return 1.0 / -(-self._concurrent // int(self._present))


def _what_needs_memory(task: TrialTask) -> str:
    """Configurations that are the same in this need the same memory."""
    names = ("batch_size", "micro_batch", "optimizer", "swa_epochs", "ema_decay")
    train = {name: task.train_config.get(name) for name in names}
    return json.dumps([task.model, task.model_config, train, task.store, task.split], sort_keys=True)


def _measure(task: TrialTask, part: float, given_gb: float | None) -> _Answer:
    """Runs in a worker with a part of a GPU."""
    total = gpu_memory_mb(given_gb)
    if total is None:
        return _Answer(None, None)
    device = claim(part)
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = needs(TrainingSetup(replace(task, folder=folder), device).trainer)
    except Exception as error:
        if out_of_memory(error):
            return _Answer(None, total, lacking=True)
        raise
    return _Answer(found.added_mb, total)
