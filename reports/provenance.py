"""The section on where everything came from, and the commands that lead further."""

import shlex
from pathlib import Path
from typing import Any

from reports.load import Results
from reports.mae_table import MaeTable
from reports.protocol import short
from reports.sections import Block, Code, Facts, Heading, Paragraph, Section
from suite.look_closer import dashboard_command, tensorboard_command
from suite.storage_url import DEFAULT


def provenance_section(results: Results, table: MaeTable, figures: Path) -> Section:
    """Command, commit, machine and versions of every search; how to look closer and build again."""
    blocks: list[Block] = []
    for name, folder in results.folders.items():
        blocks += [Heading(name)] if len(results.folders) > 1 else []
        blocks.append(_provenance(folder.search))
        storage = folder.search.get("storage", DEFAULT)
        versions = sorted(((folder.search.get("provenance") or {}).get("versions") or {}).items())
        if versions:
            blocks.append(Paragraph(", ".join(f"{package} {version}" for package, version in versions)))
        blocks.append(
            Paragraph(
                "Look closer: learning curves and hyper-parameters in TensorBoard, the study in the Optuna "
                "dashboard (pip install optuna-dashboard)."
            )
        )
        blocks.append(
            Code("\n".join([tensorboard_command(folder.path), dashboard_command(folder.path, storage)]))
        )
    places = [str(folder.path) for folder in results.folders.values()]
    again = shlex.join(["python", "-m", "reports", *places])
    return Section(
        "provenance",
        "Provenance",
        "Provenance",
        [*blocks, Paragraph("Build this report again:"), Code(again)],
    )


def _provenance(search: dict[str, Any]) -> Facts:
    record = search.get("provenance") or {}
    commit = str(record.get("commit") or "unknown") + (
        " (with uncommitted changes)" if record.get("dirty") else ""
    )
    seconds = search.get("seconds")
    facts = [
        ("Command", search.get("command")),
        ("Suite version", search.get("suite_version")),
        ("Commit", commit),
        ("Search space", short(search.get("space_digest") or "")),
        ("Started", search.get("started")),
        ("Finished", search.get("finished") or "not finished"),
        ("Duration", f"{seconds / 60:.1f} min" if isinstance(seconds, int | float) else None),
        ("Python", record.get("python")),
        ("Platform", record.get("platform")),
        ("Processor", record.get("cpu")),
        ("Cores", record.get("cores")),
    ]
    return Facts(tuple((name, str(value)) for name, value in facts if value not in (None, "")))
