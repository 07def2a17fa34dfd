"""How long a report takes, and how large its page is: `python -m benchmarks.report [--trials N] [--json]`.

| name | unit | meaning |
|---|---|---|
| `trials`, `models` | - | of the search, whose run folder is made up |
| `seconds` | s | of `python -m reports RUN`, everything included |
| `cpu_s` | s | processor time of it, which other work on the machine does not change |
| `peak_mb` | MB | largest memory of that process |
| `page_mb` | MB | index.html, pictures and all |
| `folder_mb` | MB | the whole report |
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.synthetic_search import SyntheticSearch

MB = 1e6


def measure(trials: int, keep: Path | None = None) -> dict[str, float]:
    """The figures of the module's table; the run folder is left at `keep`, where given."""
    search = SyntheticSearch(trials)
    with TemporaryDirectory() as name:
        run = search.write(keep or Path(name) / "run")
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "reports", str(run)], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        used, report = resource.getrusage(resource.RUSAGE_CHILDREN), run / "report"
        return {
            "trials": trials,
            "models": len(search.models),
            "seconds": seconds,
            "cpu_s": used.ru_utime + used.ru_stime,
            "peak_mb": used.ru_maxrss / 1000,
            "page_mb": (report / "index.html").stat().st_size / MB,
            "folder_mb": sum(path.stat().st_size for path in report.rglob("*") if path.is_file()) / MB,
        }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--trials", type=int, default=5000, metavar="N", help="of the search (default: 5000)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the run folder and its report here")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    options = parser.parse_args()
    figures = measure(options.trials, options.keep)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<10}{value:>10,.0f}" if value == round(value) else f"{name:<10}{value:>10,.1f}")


if __name__ == "__main__":
    main()
