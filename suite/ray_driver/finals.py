"""The final runs in a Ray session: as many at a time as trials, each in a task of its own."""

import time
from collections.abc import Sequence
from typing import Any

import ray

from crystalformer.allocator import keep_freed_memory
from crystalformer.training.ranks import LostRank
from suite.broken import SearchBroken, disk_fault
from suite.checkpoint_request import CheckpointRequest
from suite.curve_follower import CurveFollower
from suite.final import FinalJob, run_final
from suite.floors import FloorJob, run_floor
from suite.interrupts import interrupt_noted
from suite.ledger import MOST_LOSSES
from suite.progress import Watcher
from suite.ray_driver.fractions import Fractions
from suite.ray_driver.lifeline import Lifeline
from suite.ray_driver.losses import out_of_memory
from suite.ray_driver.share import claim
from suite.run_folder import FolderHeld
from suite.space.resources_block import ResourcesSpec
from suite.space.search_space import SearchSpace
from suite.team import Place


def run_finals(
    jobs: Sequence[FinalJob], space: SearchSpace, watcher: Watcher, fractions: Fractions
) -> dict[str, str]:
    """Run the unfinished jobs, `search.concurrent` at a time; gives run id -> reason of those that failed."""
    waiting = [job for job in jobs if not job.finished]
    running: dict[ray.ObjectRef, FinalJob] = {}
    failed: dict[str, str] = {}
    follower = CurveFollower(watcher)
    request: CheckpointRequest | None = None
    with interrupt_noted() as interrupted:
        lifeline = Lifeline(interrupted)
        while waiting or running:
            lifeline.check()
            while waiting and len(running) < space.search.concurrent and not interrupted():
                gpus = 0.0 if isinstance(waiting[0], FloorJob) else fractions.of(waiting[0].task)
                if gpus is None:  # being measured
                    break
                job = waiting.pop(0)
                watcher.started(job.task.run_id, job.task.model, job.task.train_config["epochs"])
                running[_start(job, space.resources, gpus)] = job
            for job in running.values():
                follower.look(job)
            for reference in _done(list(running)):
                job = running.pop(reference)
                failure, lost = _outcome(reference)
                if lost and interrupted():
                    continue  # no failure: it goes on from its checkpoint when the search does
                follower.ended(job, failure)
                if failure is not None:
                    failed[job.task.run_id] = failure
            if interrupted():
                request = request or CheckpointRequest([job.task for job in running.values()])
                if request.over:
                    raise KeyboardInterrupt
    return failed


def _done(references: list[ray.ObjectRef]) -> list[ray.ObjectRef]:
    """Those that have ended, after a moment."""
    if not references:
        time.sleep(0.1)
        return []
    return ray.wait(references, timeout=0.5)[0]


def _start(job: FinalJob, resources: ResourcesSpec, gpus: float) -> ray.ObjectRef:
    retries: dict[str, Any] = {"max_retries": MOST_LOSSES, "retry_exceptions": [LostRank, FolderHeld]}
    remote = ray.remote(num_cpus=resources.cpu, num_gpus=gpus, **retries)(_final)
    return remote.remote(job, resources.cpu, gpus, resources.processes)


def _final(job: FinalJob, cpu: float, gpus: float, processes: int) -> None:
    import torch

    cores = max(1, int(cpu))
    if isinstance(job, FloorJob):
        run_floor(job, cores)
        return
    keep_freed_memory()
    torch.set_num_threads(max(1, cores // processes))
    run_final(job, Place(claim(gpus), processes))


def _outcome(reference: ray.ObjectRef) -> tuple[str | None, bool]:
    """Why a run failed, None where it did not, and whether that is only that its worker was lost."""
    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if fault := disk_fault(error.cause):
            raise SearchBroken(fault) from error
        return f"{type(error.cause).__name__}: {error.cause}", False
    except ray.exceptions.RayError as error:
        said = str(error).strip()
        return out_of_memory(said) or said.splitlines()[0], True
    return None, False
