"""Nothing that is read can run anything."""

import ast
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from trial_tasks import task_of

from crystalformer.data.array_store import ArrayStore
from reports.__main__ import main as report
from suite.storage import open_storage
from suite.storage_url import DEFAULT
from suite.trial import TrialRun

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("crystalformer", "baselines", "suite", "reports")
# Reads published files, with an unpickler that builds lists, texts and numbers alone.
PLAIN_UNPICKLER = ROOT / "crystalformer/sources/published/pickles.py"

LOADERS = {"load", "loads", "read_pickle", "Unpickler", "unsafe_load", "full_load"}
PICKLERS = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}


def dangers(source: str) -> Iterator[str]:
    """Calls that may run what a file says."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or node.names[0].name
            if module.partition(".")[0] in PICKLERS:
                yield f"imports {module}"
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in ("eval", "exec", "torch.load", "yaml.load", "pd.read_pickle", "yaml.unsafe_load"):
            yield name
        if name in ("np.load", "numpy.load") and keywords.get("allow_pickle") != "False":
            yield f"{name} without allow_pickle=False"
        if keywords.get("allow_pickle") == "True" or keywords.get("weights_only") == "False":
            yield f"{name} with pickles"
        if name.rpartition(".")[2] == "YAML" and keywords.get("typ") == "'unsafe'":
            yield f"{name} unsafe"


def test_no_code_loads_what_could_run() -> None:
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    found = {path: words for path in paths if (words := list(dangers(path.read_text())))}
    assert found == {PLAIN_UNPICKLER: ["imports pickle"]}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(p)",
        "np.load(p)",
        "np.load(p, allow_pickle=True)",
        "eval(text)",
        "YAML(typ='unsafe')",
        "torch.x(p, weights_only=False)",
    ],
)
def test_that_check_can_fail(source: str) -> None:
    assert list(dangers(source))


class Trap:
    """Makes a folder where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


def traps(folder: Path) -> dict[str, bytes]:
    """By the suffix of the file that it suits: the same trap as NumPy, PyTorch and Python write it."""
    trap = Trap(folder / "sprung")
    np.save(folder / "trap.npy", np.array([trap], dtype=object), allow_pickle=True)
    torch.save({"weights": trap}, folder / "trap.pt")
    found = {".npy": (folder / "trap.npy").read_bytes(), ".safetensors": (folder / "trap.pt").read_bytes()}
    return found | {"": pickle.dumps(trap)}


def test_the_traps_work(tmp_path: Path) -> None:
    whole = traps(tmp_path)[""]
    for name, load in (
        ("pickle", lambda: pickle.loads(whole)),
        ("npy", lambda: np.load(tmp_path / "trap.npy", allow_pickle=True)),
        ("pt", lambda: torch.load(tmp_path / "trap.pt", weights_only=False)),
    ):
        load()
        assert (tmp_path / "sprung").exists(), name
        (tmp_path / "sprung").rmdir()


@contextmanager
def trapped(path: Path, folder: Path) -> Iterator[None]:
    """A trap in the place of a file while the context lasts; it must not have been sprung by then."""
    contents, before = traps(folder), path.read_bytes()
    path.write_bytes(contents.get(path.suffix, contents[""]))
    try:
        with suppress(Exception, SystemExit):  # a damaged file is to be refused
            yield
    finally:
        path.write_bytes(before)
    assert not (folder / "sprung").exists(), path


def one_of_each(folder: Path, *patterns: str) -> list[Path]:
    """A file of each name."""
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]
    return list({path.name: path for path in found if not path.name.startswith(".")}.values())


def test_a_trap_in_a_run_folder_is_not_sprung(
    finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished / "runs", tmp_path / "runs", ignore=shutil.ignore_patterns("*.lock", "report"))
    run = tmp_path / "runs/small"
    files = one_of_each(run, "*", "final/*/*", "trials/*/curve.csv")
    names = {path.name for path in files}
    assert {"search.json", "study.db", "trials.parquet", "predictions.parquet", "run.json"} <= names
    for path in files:
        with trapped(path, tmp_path):
            open_storage(DEFAULT, run)
            report([str(run)])


def test_a_trap_in_a_data_set_checkpoint_or_cache_is_not_sprung(tmp_path: Path) -> None:
    task = task_of(tmp_path, "cgcnn")
    run = TrialRun(task)
    run.step()
    run.close()
    files = [*one_of_each(Path(task.store), "*"), *one_of_each(Path(task.cache), "**/*"), task.checkpoint]
    assert {path.suffix for path in files} >= {".npy", ".json", ".safetensors"}
    for path in files:
        with trapped(path, tmp_path):
            with suppress(ValueError):
                ArrayStore.open(task.store)
            TrialRun(task).close()
