"""The chain behind one cell, its second half: configuration, trial, search space, data, code and machine."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from reports.chain import Link, Traced
from reports.check import Check
from reports.run_folder import ReportError

# A final run may be longer than its trial; these settings then keep their share of the epochs.
FOLLOWS_EPOCHS = {"epochs", "swa_epochs", "milestone", "seed"}


def origin_links(traced: Traced) -> list[Link]:
    """What the measured runs came from; the trial gives way to a sentence where they are a floor's."""
    links = (_configuration, _trial, _space, _data, _test_reads, _code, _unchecked)
    return [link(traced) for link in links]


def _configuration(traced: Traced) -> Link:
    record = traced.first
    config = record.get("config") or {}
    checks = [
        Check(f"seed {final.record['seed']}, configuration", config, final.record.get("config"))
        for final in traced.finals[1:]
        if _without_seed(final.record.get("config") or {}) != _without_seed(config)
    ]
    model = ", ".join(f"{name}={value}" for name, value in (config.get("model") or {}).items())
    train = ", ".join(f"{name}={value}" for name, value in (config.get("train") or {}).items())
    return Link("Configuration", (f"model: {model or 'none'}", f"train: {train or 'none'}"), tuple(checks))


def _without_seed(config: dict[str, Any]) -> dict[str, Any]:
    train = {name: value for name, value in (config.get("train") or {}).items() if name != "seed"}
    return config | {"train": train}


def _trial(traced: Traced) -> Link:
    record = traced.first
    if record.get("floor"):
        return Link("Trial", ("none: a floor is fitted with fixed settings",))
    chosen = record["selected_from"]
    checks = [
        Check(f"seed {final.record['seed']}, trial", chosen, final.record["selected_from"])
        for final in traced.finals[1:]
    ]
    trials = traced.folder.trials
    row = next(iter(trials[trials["trial_id"] == chosen["trial_id"]].to_dict("records")), None)
    if row is None:
        return Link("Trial", (), (*checks, Check("trial in trials.parquet", chosen["trial_id"], None)))
    checks.append(Check("val MAE of the trial", chosen["val_mae"], row["val_mae"]))
    checks.append(Check("model of the trial", record["model"], row["model"]))
    checks.append(Check("target of the trial", record["target"], row["target"]))
    if row.get("config"):
        tried, retrained = json.loads(row["config"]), record.get("config") or {}
        checks.append(Check("model settings of the trial", tried.get("model"), retrained.get("model")))
        checks.append(Check("training settings of the trial", _kept(tried), _kept(retrained)))
        checks.append(Check("schedule of the trial", tried.get("schedule"), retrained.get("schedule")))
    lines = [
        f"{chosen['trial_id']}: {row['state']} after {row['epochs']} epochs, val MAE {chosen['val_mae']!r}",
        _why(traced, row),
    ]
    if isinstance(source := row.get("imported_from"), str):
        earlier = traced.folder.path / "earlier" / f"{source}.json"
        found = _digest(json.loads(earlier.read_text(encoding="utf-8"))["space"]) if earlier.is_file() else ""
        lines.append(f"imported from an earlier search of this experiment, earlier/{source}.yaml")
        checks.append(Check("digest of the space of the earlier search", source, found[: len(source)]))
    return Link("Selected from", tuple(lines), tuple(checks))


def _kept(config: dict[str, Any]) -> dict[str, Any]:
    train = config.get("train") or {}
    return {name: value for name, value in train.items() if name not in FOLLOWS_EPOCHS}


def _why(traced: Traced, row: dict[str, Any]) -> str:
    """The trial's place among those of its model: most epochs first, then the lowest validation error."""
    trials, record = traced.folder.trials, traced.first
    usable = trials[
        (trials["model"] == record["model"])
        & (trials["target"] == record["target"])
        & trials["state"].isin(["complete", "stopped"])
    ]
    longest = usable[usable["epochs"] == usable["epochs"].max()]
    if row["epochs"] < usable["epochs"].max():
        return f"not among the {len(longest)} trials of {record['model']} that trained longest"
    place = 1 + int((longest["val_mae"] < row["val_mae"]).sum())
    number = "1 trial" if len(longest) == 1 else f"{len(longest)} trials"
    order = "lowest" if place == 1 else f"{place}. lowest"
    return (
        f"{order} val MAE of the {number} of {record['model']} that trained longest "
        f"({usable['epochs'].max()} epochs), of {len(usable)} usable"
    )


def _space(traced: Traced) -> Link:
    search = traced.folder.search
    stated = str(search.get("space_digest") or "unknown")
    content = search.get("space")
    checks = []
    if content is not None:
        checks.append(Check("digest of the search space", stated, _digest(content)))
    command = search.get("command") or "unknown"
    return Link("Search space", (f"space.yaml, digest {stated}", f"command: {command}"), tuple(checks))


def _digest(content: dict[str, Any]) -> str:
    """What identifies the content of a search space."""
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _data(traced: Traced) -> Link:
    record, dataset = traced.first, traced.folder.search["dataset"]
    split = dataset["split"].get(record["target"]) or {}
    checks = []
    for final in traced.finals:
        seed, mine = f"seed {final.record['seed']}", final.record
        checks.append(Check(f"{seed}, digest of the data", dataset["digest"], mine["dataset_digest"]))
        checks.append(Check(f"{seed}, hash of the split", split.get("hash"), mine["split_hash"]))
        checks.append(Check(f"{seed}, unit", dataset["targets"].get(mine["target"]), mine["unit"]))
        for part in ("val", "test"):
            number = int((final.predictions["split"] == part).sum()) + final.absent[part]
            checks.append(Check(f"{seed}, {part} crystals", split.get(part), number))
    counts = ", ".join(f"{split.get(part)} {part}" for part in ("train", "val", "test"))
    lines = (
        f"{dataset['name']}, digest {dataset['digest']}",
        f"split {split.get('hash')}: {counts} ({split.get('rule')})",
    )
    return Link("Data", lines, tuple(checks))


def _test_reads(traced: Traced) -> Link:
    """When each run opened the test split; more than once only where it was broken off and done again."""
    lines, checks = [], []
    for final in traced.finals:
        seed, stated = f"seed {final.record['seed']}", final.record.get("test_read_at")
        logged = _logged_reads(traced.path_of(final) / "test_reads.jsonl")
        if logged:
            checks.append(Check(f"{seed}, last read of the test split", stated, logged[-1].get("read_at")))
            hashes = sorted({str(entry.get("split_hash")) for entry in logged})
            checks.append(Check(f"{seed}, split that was read", [final.record["split_hash"]], hashes))
            times = ", ".join(str(entry.get("read_at")) for entry in logged)
            lines.append(f"{seed}: {len(logged)} {'time' if len(logged) == 1 else 'times'}: {times}")
        else:
            lines.append(f"{seed}: {stated or 'time not recorded'} (no log)")
    return Link("Test split read", tuple(lines), tuple(checks))


def _logged_reads(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except ValueError as error:
        raise ReportError(f"{path}: unreadable: {error}") from error
    if not all(isinstance(entry, dict) for entry in entries):
        raise ReportError(f"{path}: expected an object on each line")
    return entries


def _code(traced: Traced) -> Link:
    lines = [f"suite {traced.folder.search.get('suite_version') or 'unknown'}"]
    fallback = traced.folder.search.get("provenance") or {}
    for final in traced.finals:
        mine = fallback | (final.record.get("provenance") or {})
        state = " with uncommitted changes" if mine.get("dirty") else ""
        machine = ", ".join(str(mine[key]) for key in ("platform", "cpu") if mine.get(key))
        versions = ", ".join(f"{name} {version}" for name, version in (mine.get("versions") or {}).items())
        commit = f"commit {mine.get('commit') or 'unknown'}{state}"
        text = f"{commit}; {machine}, {mine.get('cores')} cores; {versions}"
        if text not in lines:
            lines.append(text)
    return Link("Code and machine", tuple(lines))


def _unchecked(traced: Traced) -> Link:
    """What a run folder alone cannot show, the more so where it was published without its heavy files."""
    with_weights = sum((traced.path_of(final) / "model.safetensors").is_file() for final in traced.finals)
    weights = f"the weights of {with_weights} of {len(traced.finals)} runs are in the folder"
    if traced.first.get("floor"):
        weights = "a floor has no weights"
    return Link(
        "Not checked",
        (
            f"that the kept weights give these predictions: {weights}",
            "that the labels are those of the data set: its arrays are no part of a run folder",
        ),
    )
