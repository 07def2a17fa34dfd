"""Does every node see the folders of a search? Asked before the first trial, by writing and reading."""

import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_PATIENCE_S = 15.0  # network file systems show new files late


def unshared_folder(folders: Sequence[Path]) -> str | None:
    """What is wrong, in words, where a node does not share a folder with this process; else None.

    Each node must read a file written here, and what it writes must be read here.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return None
    for folder in folders:
        word = secrets.token_hex(8)
        asked, answers = folder / f".probe-{word}", [folder / f".probe-{word}-{n}" for n in range(len(nodes))]
        try:
            asked.write_text(word)
            references = [
                ray.remote(num_cpus=0, max_retries=0)(_answer)
                .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
                .remote(asked, answer, word)
                for node, answer in zip(nodes, answers, strict=True)
            ]
            for node, reference, answer in zip(nodes, references, answers, strict=True):
                failure = ray.get(reference) or _missing(answer, word)
                if failure:
                    return (
                        f"node {node['NodeManagerHostname']} does not share {folder} with this one "
                        f"({failure}): choose --runs and --data on storage that all nodes see"
                    )
        finally:
            for file in (asked, *answers):
                file.unlink(missing_ok=True)
    return None


def _answer(asked: Path, answer: Path, word: str) -> str | None:
    """Runs on a node: read what was written, write back."""
    if failure := _missing(asked, word):
        return failure
    try:
        answer.write_text(word)
    except OSError as error:
        return f"{type(error).__name__}: {error.strerror}"
    return None


def _missing(file: Path, word: str) -> str | None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if file.read_text() == word:
                return None
        except OSError:
            pass
        time.sleep(0.1)
    return "a file written on one is not seen on the other"
