"""Where a result came from: code, versions and machine as one JSON record."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

# What computes: a table of one's own in the clone changes no number, and a search space is recorded in full.
_CODE = ("baselines", "crystalformer", "reports", "suite", "pyproject.toml", "constraints.txt")
_PACKAGES = ("crystalformer-suite", "torch", "numpy", "ray", "optuna", "pymatgen", "pandas", "scikit-learn")


def provenance() -> dict:
    """Commit and whether the code differs from it, versions of what computes, and the machine."""
    commit, dirty = _commit()
    return {
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "versions": {name: version for name in _PACKAGES if (version := package_version(name))},
    }


def package_version(name: str) -> str | None:
    """Version of an installed distribution, None where it is absent."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> tuple[str | None, bool | None]:
    """Commit of the checkout this file lies in; (None, None) outside of one."""
    folder = Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None, None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit, bool(_git(folder, "status", "--porcelain", "--", *_CODE))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
