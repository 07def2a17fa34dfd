"""A run's folder belongs to one process, the latest; what became of the others is no obstacle."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hand_driven_search import Search
from trial_tasks import task_of

from crystalformer.training.loop import EpochRecord
from suite.run_folder import FolderHeld, RunFolder, Superseded
from suite.trial import TrialRun

HOLD = "import sys; from filelock import {0}; l = {0}(sys.argv[1]); l.acquire(); print(flush=True); input()"


def hold(lock: Path, kind: str = "FileLock") -> subprocess.Popen[str]:
    """Another process that holds a lock until it is ended."""
    command = [sys.executable, "-c", HOLD.format(kind), str(lock)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_the_process_of_a_session_that_is_over_leaves_after_its_epoch(tmp_path: Path) -> None:
    task = task_of(tmp_path, "cgcnn")
    earlier = TrialRun(task)
    earlier.step()
    later: list[TrialRun] = []
    taking = threading.Thread(target=lambda: later.append(TrialRun(task)))
    wanted = Path(task.folder) / ".wanted"
    train = earlier.trainer.run_epoch

    def slow_epoch() -> EpochRecord:
        taking.start()
        while not wanted.exists():
            assert taking.is_alive()
        return train()

    earlier.trainer.run_epoch = slow_epoch  # type: ignore[method-assign]
    with pytest.raises(Superseded, match="a later process takes it over"):
        earlier.step()
    assert len(task.curve.read_text().splitlines()) == 2  # the epoch that nobody wanted any more left nothing
    earlier.close()
    taking.join(60)
    assert later[0].step().epoch == 1
    assert later[0].step().epoch == 2
    later[0].close()
    assert not wanted.exists()


def test_a_process_that_nobody_tells_what_to_do_leaves_at_once(tmp_path: Path) -> None:
    task = task_of(tmp_path, "cgcnn")
    earlier = TrialRun(task)
    earlier.step()
    later = TrialRun(task)  # while the other one waits for its next step
    assert later.step().epoch == 1
    with pytest.raises(Superseded):
        earlier.step()
    earlier.close()
    assert later.step().epoch == 2
    later.close()
    assert len(task.curve.read_text().splitlines()) == 3


def test_a_folder_that_is_not_given_up_is_said_with_who_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = RunFolder(tmp_path)
    monkeypatch.setattr("suite.run_folder._PATIENCE_S", 2.5)
    with first.working(), pytest.raises(FolderHeld, match=rf"is still held by process {os.getpid()} on "):
        RunFolder(tmp_path)
    first.release()
    RunFolder(tmp_path).release()


def test_a_killed_process_holds_nothing_and_its_half_written_files_go(tmp_path: Path) -> None:
    holder = hold(tmp_path / ".lock")
    (tmp_path / "checkpoint.safetensors.77.partial").write_bytes(bytes(100))
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    RunFolder(tmp_path).release()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock"]


def no_flock(*arguments: object) -> None:
    raise OSError(errno.ENOSYS, "Function not implemented")


@pytest.mark.parametrize(
    "since", ["it was killed", "its number is another's", "the machine was started again"]
)
def test_without_locks_of_the_file_system_a_process_that_is_gone_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, since: str
) -> None:
    """Lustre may be mounted so; then a lock is a file with process, host, boot and time of start."""
    lock = tmp_path / ".lock"
    holder = hold(lock, "SoftFileLock")
    if since == "it was killed":
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    else:
        process, host, started = lock.read_text().split()
        if since == "its number is another's":
            process = str(os.getpid())
        else:
            started = str(int(started) ^ 1 << 64)  # above these bits is the boot's
        lock.write_text("\n".join((process, host, started)) + "\n")
    monkeypatch.setattr(fcntl, "flock", no_flock)
    monkeypatch.setattr("suite.run_folder._PATIENCE_S", 20.0)
    with pytest.warns(UserWarning, match="flock"):
        RunFolder(tmp_path).release()
    holder.kill()
    holder.communicate()


def said_by_ray(error: Exception) -> str:
    kind = type(error)
    return f"ray::ResourceTrainable.train()\n  File ...\n{kind.__module__}.{kind.__name__}: {error}"


def test_a_trial_whose_folder_is_held_is_tried_until_it_is_free(tmp_path: Path) -> None:
    search = Search(tmp_path)
    messages: list[str] = []
    search.searcher._watcher.message = messages.append  # type: ignore[method-assign]
    for again in range(30):
        assert search.start(f"tune{again}") == 0
        held = FolderHeld("/runs/t0000 is still held by process 7 on node3")
        search.searcher.said_of_losses[f"tune{again}"] = said_by_ray(held)
        search.searcher.on_trial_complete(f"tune{again}", error=True)
    assert set(messages) == {"t0000: /runs/t0000 is still held by process 7 on node3; it is taken up again"}


def test_a_trial_that_gets_further_may_lose_any_number_of_workers(tmp_path: Path) -> None:
    search = Search(tmp_path, ("budget.epochs=40",))
    for again in range(30):
        assert search.start(f"tune{again}") == 0
        search.ledger.report(0, again // 4 + 1, 0.5)
        search.searcher.on_trial_complete(f"tune{again}", error=True)
    for again in range(30, 37):  # and from here on it gets nowhere
        assert search.start(f"tune{again}") == 0
        search.searcher.on_trial_complete(f"tune{again}", error=True)
    assert search.ledger.rows("y")[0]["state"] == "failed"
