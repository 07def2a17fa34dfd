"""`Node`: one value of a search-space file with the place it came from, and the checks it answers.

Every complaint about a search space is a `SpaceError` made here, so that all of them read alike:

    search_spaces/mp.yaml:7: budget.trials: expected a whole number of at least 1, got 'many'
    --set budgt.trials=8: budgt: unknown key 'budgt'; closest: budget; valid: name, data, ...
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, NoReturn

from crystalformer.training.config import TrainConfig
from suite.space.scalars import Scalar, is_number, is_whole

TRAIN_NAMES = tuple(field.name for field in fields(TrainConfig) if field.name != "epochs")

BLOCKS: dict[str, tuple[str, ...]] = {
    "": (
        "name",
        "data",
        "objective",
        "budget",
        "search",
        "resources",
        "train",
        "models",
        "final",
        "include",
        "tensorboard",
    ),
    "data": (
        "dataset",
        "target",
        "split",
        "subset",
        "train_crystals",
        "val_crystals",
        "unit",
        "max_rejected",
        "cell",
    ),
    "tensorboard": ("histograms",),
    "budget": ("trials", "epochs", "hours", "gpu_hours", "total_epochs"),
    "search": (
        "sampler",
        "scheduler",
        "grace_epochs",
        "perturb_every",
        "quantile",
        "resample",
        "reduction",
        "concurrent",
        "seed",
        "design",
        "seeds",
    ),
    "resources": ("cpu", "gpu", "gpus_per_trial", "processes_per_trial", "gpu_memory"),
    "train": ("recipe", *TRAIN_NAMES),
    "final": ("top", "seeds", "epochs", "floors"),
}  # the names of the grammar; those inside `models` come from the configuration classes

LIST_AT_MOST = 16  # a longer list of valid names is shown only where no name is close


class SpaceError(ValueError):
    """A search space is wrong. One message: place, key, what was expected, what came, closest name."""


def closest(name: str, valid: Iterable[str]) -> list[str]:
    """Up to three valid names that resemble `name`, the most similar first; case does not matter."""
    by_lower = {candidate.lower(): candidate for candidate in valid}
    return [by_lower[match] for match in get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)]


def suggestion(name: str, valid: Collection[str]) -> str:
    """The end of a message about an unknown name: the closest names, and all of them if they are few."""
    near = closest(name, valid)
    text = f"; closest: {', '.join(near)}" if near else ""
    if not near or len(valid) <= LIST_AT_MOST:
        text += f"; valid: {', '.join(valid)}"
    return text


@dataclass(frozen=True)
class Node:
    """A scalar, a list of nodes or a mapping of nodes.

    `where` is `file:line` or `--set key=value`; `path` is the dotted key path, "" for the whole file.
    """

    value: Scalar | list["Node"] | dict[str, "Node"]
    where: str
    path: str

    def fail(self, message: str) -> NoReturn:
        """Raise a `SpaceError` that names this place."""
        raise SpaceError(": ".join(part for part in (self.where, self.path, message) if part))

    def expected(self, what: str) -> NoReturn:
        """Raise a `SpaceError` saying what was expected here and what came."""
        self.fail(f"expected {what}, got {self.shown()}")

    def shown(self) -> str:
        """The value as a message shows it."""
        if isinstance(self.value, dict):
            return "a mapping with " + ", ".join(self.value) if self.value else "an empty mapping"
        if self.value is None:
            return "nothing"
        text = repr(self.plain())
        return text if len(text) <= 80 else text[:77] + "..."

    def plain(self) -> Any:
        """The value without places, as Python's None, bool, int, float, str, list and dict."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def mapping(self) -> dict[str, "Node"]:
        """The entries of a mapping; nothing at all counts as an empty one."""
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            self.expected("a mapping (key: value)")
        return self.value

    def block(self, name: str, required: Collection[str] = ()) -> dict[str, "Node"]:
        """The entries of the block `name` of the grammar, its keys checked."""
        entries = self.mapping()
        for key, node in entries.items():
            if key not in BLOCKS[name]:
                node.unknown("key", key, BLOCKS[name])
        for key in required:
            if key not in entries:
                self.fail(f"missing key '{key}'; required here: {', '.join(required)}")
        return entries

    def unknown(self, kind: str, name: str, valid: Collection[str]) -> NoReturn:
        """Raise a `SpaceError` for a name that is not among the valid ones."""
        home = next((block for block, names in BLOCKS.items() if block and name in names), None)
        misplaced = (
            f"; '{name}' belongs in '{home}'" if kind.startswith(("key", "parameter")) and home else ""
        )
        self.fail(f"unknown {kind} '{name}'{misplaced}{suggestion(name, valid)}")

    def text(self, what: str) -> str:
        """A string that is not empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            self.expected(
                what + (" (write it in quotes)" if isinstance(self.value, bool | int | float) else "")
            )
        return self.value

    def one_of(self, kind: str, names: Collection[str]) -> str:
        """One of the given names."""
        name = self.text(f"one of {', '.join(names)}")
        if name not in names:
            self.unknown(kind, name, names)
        return name

    def whole(self, at_least: int) -> int:
        """A whole number with a lower bound; true and 2.0 are none."""
        value = self.value
        if not is_whole(value) or value < at_least:
            self.expected(f"a whole number of at least {at_least}")
        return value

    def truth(self) -> bool:
        """true or false."""
        if not isinstance(self.value, bool):
            self.expected("true or false")
        return self.value

    def number(self, what: str, above: float = float("-inf"), at_least: float = float("-inf")) -> float:
        """A number with a lower bound, as a float."""
        value = self.value
        if not is_number(value) or value <= above or value < at_least:
            self.expected(what)
        return float(value)

    def distinct(self, what: str) -> list["Node"]:
        """The entries of a list that is not empty and repeats nothing; `what` says what is expected."""
        if not isinstance(self.value, list) or not self.value:
            self.expected(what)
        seen: list[Any] = []
        for node in self.value:
            if node.plain() in seen:
                node.fail(f"{node.shown()} is listed twice")
            seen.append(node.plain())
        return self.value

    def folder_name(self) -> str:
        """A name that is safe as a folder on every system."""
        name = self.text("a name made of letters, digits, '.', '_' and '-'")
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name, flags=re.ASCII) or len(name) > 100:
            self.expected("up to 100 letters, digits, '.', '_' and '-', not beginning with '.'")
        return name
