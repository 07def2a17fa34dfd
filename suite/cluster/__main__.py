"""Write what starts a search on a cluster.

Examples:
  python -m suite.cluster slurm --space search_spaces/mp_formation.yaml --nodes 4 --gpus 8 > search.sh
  python -m suite.cluster kuberay --space search_spaces/mp_formation.yaml --nodes 4 --gpus 1 --out job.yaml
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from suite.cluster.launch import TEMPLATES, Launch, launch_file

WRONG_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    options = vars(parser().parse_args(arguments))
    kind, out = options.pop("kind"), options.pop("out")
    try:
        if not Path(options["space"]).is_file():
            raise ValueError(f"--space: expected a search-space file, got {options['space']!r}")
        text = launch_file(kind, Launch(**options))
        if out is not None:
            out.write_text(text, encoding="utf-8")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return WRONG_INPUT
    if out is None:
        print(text, end="")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line that this command understands."""
    parser = argparse.ArgumentParser(
        prog="python -m suite.cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=tuple(TEMPLATES), help="what runs the cluster")
    parser.add_argument("--space", required=True, help="the search space, as the nodes know it")
    parser.add_argument("--nodes", type=int, required=True, help="how many, the head included")
    parser.add_argument("--gpus", type=int, default=Launch.gpus, help="of each node (default: %(default)s)")
    parser.add_argument("--cpus", type=int, default=Launch.cpus, help="of each node (default: %(default)s)")
    parser.add_argument("--hours", type=float, default=Launch.hours, help="time limit (default: %(default)s)")
    parser.add_argument("--runs", default=Launch.runs, help="results, shared by all (default: %(default)s)")
    parser.add_argument("--data", default=Launch.data, help="data sets, likewise (default: %(default)s)")
    parser.add_argument("--image", default=Launch.image, help="container image (default: %(default)s)")
    parser.add_argument("--claim", default=Launch.claim, help="claim behind both (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="file to write; else it is printed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
