"""The Ray session, a search in it, and the final runs in it."""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Read when Ray is imported: no duplicate loggers, no signal handler of its own, no display but ours; workers
# without a GPU keep the accelerator's environment variables as they are; and a final run for which a node's
# memory does not suffice is not tried for ever.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_task_oom_retries", "10")

import ray
from ray import tune

from suite.assignment import Assignment
from suite.interrupts import interrupt_noted, interruptible
from suite.ledger import TrialLedger
from suite.progress import Watcher
from suite.ray_driver.actor import TrialActor, bundle
from suite.ray_driver.ending import Ending
from suite.ray_driver.fractions import Fractions
from suite.ray_driver.lifeline import Lifeline
from suite.ray_driver.ray_itself import adapt, in_a_session_of_its_own
from suite.ray_driver.scheduler import PerModelStopping
from suite.ray_driver.searcher import LedgerSearcher
from suite.ray_driver.storage_probe import unshared_folder
from suite.space.search_space import SearchSpace
from suite.trial_task import TrialTask


class ClusterError(RuntimeError):
    """Ray could not be started or joined, has too little for one trial, or broke down."""


@contextmanager
def session(space: SearchSpace, address: str | None, folders: Sequence[Path] = ()) -> Iterator[Fractions]:
    """A Ray session for the search, and how it divides its GPUs.

    Joined at `address`, else at RAY_ADDRESS, which Ray sets for jobs in a cluster; else one of this machine's
    own, also where another one happens to run. Only a session started here is shut down at the end.

    Raises:
        ClusterError: no cluster at the address, less CPU or GPU than one trial asks for, or a node that does
            not see one of the `folders`.
    """
    adapt()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address := address or os.environ.get("RAY_ADDRESS"):
            ray.init(address=address, **quiet)
        else:
            with in_a_session_of_its_own():
                ray.init(address="local", include_dashboard=False, **quiet)
    except SystemExit as error:
        raise KeyboardInterrupt from error  # Ray's own answer to SIGTERM while it starts
    except Exception as error:  # plain ones, too, as where a process of its own does not start in time
        raise ClusterError(f"Ray: {str(error).strip().splitlines()[0]}") from error
    try:
        # Lost workers are told by the searcher, failed trials by the table.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        with interruptible():
            fractions = Fractions(space, ray.cluster_resources())
            _check_a_trial_fits(space, fractions.most)
            if failure := unshared_folder(folders):
                raise ClusterError(failure)
            yield fractions
    finally:
        ray.shutdown()


def _check_a_trial_fits(space: SearchSpace, gpus: float) -> None:
    """A trial's processes are on one node, which must have enough for them."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for name, needed in (("CPU", space.resources.cpu), ("GPU", gpus)):
        most = max((node.get(name, 0.0) for node in nodes), default=0.0)
        if most < needed:
            where = "the cluster" if len(nodes) == 1 else "no node of the cluster"
            has = f"has {most:g}" if len(nodes) == 1 else f"has more than {most:g}"
            key = "gpus_per_trial" if name == "GPU" and space.resources.processes > 1 else name.lower()
            raise ClusterError(f"a trial asks for {needed:g} {name} and {where} {has}: lower resources.{key}")


def run_search(
    ledger: TrialLedger,
    make_task: Callable[[Assignment], TrialTask],
    watcher: Watcher,
    fractions: Fractions,
    save: Callable[[], None],
) -> None:
    """Run the ledger's trials until its budget is used up.

    Tune's own files lie in a temporary folder: whatever is needed to continue is in the ledger and in the
    trials' folders.
    """
    with interrupt_noted() as interrupted:
        while ledger.work_left():  # again where a trial was taken back when Tune had no other to start
            searcher = LedgerSearcher(ledger, make_task, watcher, fractions, save, interrupted)
            _run_tune(searcher, Ending(searcher, watcher, interrupted, Lifeline(interrupted)))
            if interrupted():
                raise KeyboardInterrupt


def _run_tune(searcher: LedgerSearcher, ending: Ending) -> None:
    scratch = tempfile.mkdtemp(prefix="search-")
    space = searcher.ledger.space
    tuner = tune.Tuner(
        tune.with_resources(TrialActor, bundle),
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
            callbacks=[ending],
            failure_config=tune.FailureConfig(max_failures=0),  # what follows a loss is the ledger's affair
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        tuner.fit()
    except tune.TuneError as error:
        if searcher.broken is not None:
            raise searcher.broken from error
        raise ClusterError(f"Ray Tune: {str(error).strip().splitlines()[-1]}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
