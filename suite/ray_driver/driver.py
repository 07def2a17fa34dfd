"""The Ray session, a search in it, and the final runs in it."""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Read when Ray is imported: no duplicate loggers, no signal handler of its own, no display but ours.
# The last one: workers without a GPU keep the accelerator's environment variables as they are.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray import tune

from crystalformer.allocator import keep_freed_memory
from suite.assignment import Assignment
from suite.final import CurveFollower, FinalJob, run_final
from suite.floors import FloorJob, run_floor
from suite.interrupts import interruptible
from suite.ledger import MOST_LOSSES, TrialLedger
from suite.progress import Watcher
from suite.ray_driver.actor import TrialActor
from suite.ray_driver.scheduler import PerModelStopping
from suite.ray_driver.searcher import LedgerSearcher
from suite.ray_driver.storage_probe import unshared_folder
from suite.space.search_space import SearchSpace
from suite.trial_task import TrialTask


class ClusterError(RuntimeError):
    """Ray could not be started or joined, has too little for one trial, or broke down."""


@contextmanager
def session(
    space: SearchSpace, address: str | None, folders: Sequence[Path] = ()
) -> Iterator[dict[str, float]]:
    """A Ray session for the search, and what it has.

    Joined at `address`, else at RAY_ADDRESS, which Ray sets for jobs in a cluster; else one of this machine's
    own, also where another one happens to run. Only a session started here is shut down at the end.

    Raises:
        ClusterError: no cluster at the address, less CPU or GPU than one trial asks for, or a node that does
            not see one of the `folders`.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address := address or os.environ.get("RAY_ADDRESS"):
            ray.init(address=address, **quiet)
        else:
            ray.init(address="local", include_dashboard=False, **quiet)
    except SystemExit as error:
        raise KeyboardInterrupt from error  # Ray's own answer to SIGTERM while it starts
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(f"Ray: {str(error).strip().splitlines()[0]}") from error
    try:
        # Lost workers are told by the searcher, failed trials by the table.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        with interruptible():
            resources = _resources(space)
            if failure := unshared_folder(folders):
                raise ClusterError(failure)
            yield resources
    finally:
        ray.shutdown()


def _resources(space: SearchSpace) -> dict[str, float]:
    """What the cluster has, which must be enough for a trial."""
    resources = ray.cluster_resources()
    for name, needed in (("CPU", space.resources.cpu), ("GPU", _gpu(space, resources))):
        if resources.get(name, 0) < needed:
            raise ClusterError(
                f"a trial asks for {needed:g} {name} and the cluster has {resources.get(name, 0):g}: "
                f"lower resources.{name.lower()}"
            )
    return resources


def run_search(
    ledger: TrialLedger,
    make_task: Callable[[Assignment], TrialTask],
    watcher: Watcher,
    resources: dict[str, float],
    save: Callable[[], None],
) -> None:
    """Run the ledger's trials until its budget is used up.

    Tune's own files lie in a temporary folder: whatever is needed to continue is in the ledger and in the
    trials' folders.
    """
    space, gpu = ledger.space, _gpu(ledger.space, resources)
    ledger.budget.gpus_per_trial = gpu
    while ledger.work_left():  # again where a trial was taken back when Tune had no other to start
        searcher = LedgerSearcher(ledger, make_task, watcher, {"cpu": space.resources.cpu, "gpu": gpu}, save)
        _run_tune(space, searcher, gpu)


def _run_tune(space: SearchSpace, searcher: LedgerSearcher, gpu: float) -> None:
    scratch = tempfile.mkdtemp(prefix="search-")
    tuner = tune.Tuner(
        tune.with_resources(TrialActor, {"cpu": space.resources.cpu, "gpu": gpu}),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=PerModelStopping(space, searcher),
            num_samples=-1,
            max_concurrent_trials=space.search.concurrent,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=scratch,
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),  # what follows a loss is the ledger's affair
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        tuner.fit()
    except tune.TuneError as error:
        raise ClusterError(f"Ray Tune: {str(error).strip().splitlines()[-1]}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def run_finals(
    jobs: Sequence[FinalJob], space: SearchSpace, watcher: Watcher, resources: dict[str, float]
) -> dict[str, str]:
    """Run the unfinished jobs, `search.concurrent` at a time; gives run id -> reason of those that failed."""
    gpu = _gpu(space, resources)
    remote = ray.remote(num_cpus=space.resources.cpu, num_gpus=gpu, max_retries=MOST_LOSSES)(_final)
    waiting = [job for job in jobs if not job.finished]
    running: dict[ray.ObjectRef, FinalJob] = {}
    failed: dict[str, str] = {}
    follower = CurveFollower(watcher)
    while waiting or running:
        while waiting and len(running) < space.search.concurrent:
            job = waiting.pop(0)
            watcher.started(job.task.run_id, job.task.model, job.task.train_config["epochs"])
            running[remote.remote(job, space.resources.cpu, gpu)] = job
        done, _ = ray.wait(list(running), timeout=0.5)
        for job in running.values():
            follower.look(job)
        for reference in done:
            job = running.pop(reference)
            failure = _outcome(reference)
            follower.ended(job, failure)
            if failure is not None:
                failed[job.task.run_id] = failure
    return failed


def _final(job: FinalJob, cpu: float, gpu: float) -> None:
    import torch

    cores = max(1, int(cpu))
    if isinstance(job, FloorJob):
        run_floor(job, cores)
        return
    keep_freed_memory()
    torch.set_num_threads(cores)
    run_final(job, "cuda" if gpu and torch.cuda.is_available() else "cpu")


def _outcome(reference: ray.ObjectRef) -> str | None:
    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        return f"{type(error.cause).__name__}: {error.cause}"
    except ray.exceptions.RayError as error:
        return str(error).strip().splitlines()[0]
    return None


def _gpu(space: SearchSpace, resources: dict[str, float]) -> float:
    """GPUs of one trial: as asked for, or with `auto` an equal share of what is there, none without any."""
    if space.resources.gpu != "auto":
        return float(space.resources.gpu)
    present = resources.get("GPU", 0.0)
    if not present:
        return 0.0
    per_gpu = -(-space.search.concurrent // int(present))
    return 1.0 / per_gpu
