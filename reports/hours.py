"""What a model's search took: trials, hours of them and of the final runs, and on what."""

from collections.abc import Iterable

from reports.load import Results


def search_hours(results: Results, experiment: str, model: str, target: str) -> float:
    """Hours of training and validation of a model's trials and final runs of a target, one after the other.

    Trials that failed or were stopped count as far as they came, final runs of every rank with all seeds. A
    floor has no trials.
    """
    folder = results.folders[experiment]
    trials = folder.trials
    mine = trials[(trials["model"] == model) & (trials["target"] == target)]
    finals = (
        float(final.record.get("seconds") or 0.0)
        for final in folder.finals
        if (final.record["model"], final.record["target"]) == (model, target)
    )
    return (float(mine["seconds"].sum()) + sum(finals)) / 3600


def trials_of(results: Results, experiment: str, model: str, target: str) -> int:
    """How many configurations of a model were tried for a target, however far they came."""
    trials = results.folders[experiment].trials
    return int(((trials["model"] == model) & (trials["target"] == target)).sum())


def devices(results: Results, experiments: Iterable[str]) -> list[str]:
    """What the final runs of these searches were trained on, in words, each once."""
    found: dict[str, None] = {}
    for name in experiments:
        folder = results.folders[name]
        for final in folder.finals:
            if not final.record.get("floor"):
                found[_device(final.record, folder.search.get("provenance") or {})] = None
    return list(found)


def _device(record: dict, search: dict) -> str:
    device = record.get("device") or "cpu"
    if device != "cpu":
        return str(device)
    machine = (record.get("provenance") or {}).get("cpu") or search.get("cpu") or "a CPU"
    threads = record.get("threads")
    return (
        str(machine)
        if threads is None
        else f"{threads} {'thread' if threads == 1 else 'threads'} of {machine}"
    )
