"""Texts of a run without the places and names of the machine that it ran on."""

import re
import shlex
from typing import Any

PATH = re.compile(r"(?<![\w.:/])/(?:[^\s/:;,'\"()\[\]]+/)+([^\s/:;,'\"()\[\]]*)")
ADDRESS = re.compile(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b")
PLACES = ("--runs", "--data", "--address")  # options of a search that say where, not what


def anonymous(value: Any, hosts: tuple[str, ...] = ()) -> Any:
    """`value`, as JSON has it, with each absolute path cut to its last part, and IP addresses and the names
    `hosts` replaced by `host`.
    """
    if isinstance(value, str):
        text = ADDRESS.sub("host", PATH.sub(r"\1", value))
        for name in hosts:
            text = re.sub(rf"\b{re.escape(name)}\b", "host", text)
        return text
    if isinstance(value, dict):
        return {key: anonymous(each, hosts) for key, each in value.items()}
    if isinstance(value, list):
        return [anonymous(each, hosts) for each in value]
    return value


def repeatable(command: str, space: str) -> str:
    """The command line of a search as others can give it: with the search space at `space`, and without the
    options that say where results and data went.
    """
    kept: list[str] = []
    words = iter(shlex.split(command))
    for word in words:
        name, _, value = word.partition("=")
        if name in PLACES or name == "--space":
            if not value:
                next(words, None)
            kept += ["--space", space] if name == "--space" else []
        else:
            kept.append(word)
    return shlex.join(kept)
