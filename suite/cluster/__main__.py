"""Write what starts a search on a cluster; docs/cluster.md says what to do with it.
Exit codes: 0 done, 2 the input is wrong.

Examples:
  python -m suite.cluster slurm --space search_spaces/mp.yaml --nodes 4 --gpus 8 > search.sh
  python -m suite.cluster kuberay --space search_spaces/mp.yaml --nodes 4 --gpus 1 --out job.yaml
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from suite.cluster.launch import TEMPLATES, Launch, launch_file
from suite.command_line import DONE, INTERRUPTED, WRONG_INPUT, command_parser
from suite.interrupts import interruptible


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    options = vars(parser().parse_args(arguments))
    kind, out = options.pop("kind"), options.pop("out")
    try:
        with interruptible():
            if not Path(options["space"]).is_file():
                raise ValueError(f"--space: expected a search-space file, got {options['space']!r}")
            text = launch_file(kind, Launch(**options))
            if out is not None:
                out.write_text(text, encoding="utf-8")
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return WRONG_INPUT
    if out is None:
        print(text, end="")
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line that this command understands."""
    parser = command_parser("suite.cluster", __doc__, "KIND --space FILE --nodes N [options]")
    parser.add_argument("kind", metavar="KIND", choices=tuple(TEMPLATES), help=" or ".join(TEMPLATES))
    parser.add_argument("--space", metavar="FILE", required=True, help="the search space; the nodes know it")
    parser.add_argument("--nodes", metavar="N", type=int, required=True, help="how many, the head included")
    for name, metavar, kind, purpose in (
        ("gpus", "N", int, "of each node"),
        ("cpus", "N", int, "of each node"),
        ("hours", "H", float, "time limit"),
        ("runs", "DIR", str, "results, shared by all"),
        ("data", "DIR", str, "data sets, likewise"),
        ("image", "NAME", str, "container image"),
        ("claim", "NAME", str, "claim behind both"),
    ):
        default = getattr(Launch, name)
        parser.add_argument(
            f"--{name}", metavar=metavar, type=kind, default=default, help=f"{purpose} (default: {default})"
        )
    parser.add_argument("--out", metavar="FILE", type=Path, help="file to write; else it is printed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
