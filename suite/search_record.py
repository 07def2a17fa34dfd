"""What `search.json` says of a search, and the record of an earlier session that it goes on from."""

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from suite.prepare import PreparedData
from suite.provenance import package_version, provenance
from suite.records import read_json
from suite.space.search_space import SearchSpace
from suite.storage_url import without_secrets


class ExperimentError(ValueError):
    """The folder belongs to another search, is damaged, or cannot be written."""


def earlier_record(folder: Path, space: SearchSpace, data: PreparedData, storage: str) -> dict:
    """The record of an earlier session, or the beginning of one.

    Raises:
        ExperimentError: it cannot be read, or is that of a search over other data.
    """
    path = folder / "search.json"
    if not path.exists():
        if folder.exists() and any(folder.iterdir()):
            raise ExperimentError(
                f"{folder}: holds files but no search.json: choose another --name or --fresh"
            )
        begin = {"id": secrets.token_hex(4), "started": now(), "storage": without_secrets(storage)}
        return begin | {"seconds": 0.0, "search_seconds": 0.0, "failures": []}
    try:
        record = read_json(path)
        known = (record["name"], record["dataset"]["digest"], record["storage"])
        if missing := {"id", "space", "space_digest"} - record.keys():
            raise KeyError(*missing)
        seconds = [float(record[key]) for key in ("seconds", "search_seconds")]
    except (ValueError, KeyError, TypeError) as error:
        raise ExperimentError(
            f"{path}: expected the record of a search, got a damaged file ({type(error).__name__}: {error}): "
            "put the experiment aside with --fresh"
        ) from error
    for what, before, here in zip(
        ("name", "the data (digest)", "--storage"),
        known,
        (space.name, data.store.digest, without_secrets(storage)),
        strict=True,
    ):
        if before != here:
            raise ExperimentError(
                f"{folder}: holds another experiment; {difference(what, before, here)}: "
                "choose another --name, or put it aside with --fresh"
            )
    return record | dict(zip(("seconds", "search_seconds"), seconds, strict=True))


def difference(where: str, before: Any, now: Any) -> str:
    """The first place in which two JSON values differ, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                inside = key if where == "the search space" else f"{where}.{key}"
                return difference(inside, before.get(key), now.get(key))
    return f"{where} was {json.dumps(before)} and is {json.dumps(now)}"


def facts(space: SearchSpace, data: PreparedData, command: str) -> dict:
    """What `search.json` says of a search before it runs."""
    from suite.floors import FLOORS, floor_seeds
    from suite.registry import MODELS

    notes = list(space.notes)
    notes += [
        f"{target} has no unit: data.unit can give one" for target, unit in data.units.items() if not unit
    ]
    return {
        "name": space.name,
        "command": command,
        "overrides": list(space.overrides),
        "space": dict(space.content),
        "space_digest": space.digest,
        "suite_version": package_version("crystalformer-suite"),
        "dataset": data.summary(),
        "models": {key: {"label": MODELS[key].label, "paper": MODELS[key].paper} for key in space.models},
        "budget": {
            "trials": space.budget.trials,
            "epochs": space.budget.epochs,
            "hours": space.budget.hours,
            "gpu_hours": space.budget.gpu_hours,
            "total_epochs": space.budget.total_epochs,
        },
        "final": {
            "top": space.final.top,
            "seeds": list(space.final.seeds),
            "epochs": dict(space.final.epochs),
        },
        "floors": {
            key: {
                "label": floor.label,
                "paper": floor.paper,
                "seeds": list(floor_seeds(floor, space.final.seeds)),
            }
            for key, floor in FLOORS.items()
            if space.final.floors
        },
        "notes": notes,
        "provenance": provenance(),
    }


def now() -> str:
    """The time, as records give it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
