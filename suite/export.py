"""Export a model of a finished run as a folder, or its test predictions for a leaderboard.

Exit codes: 0 done, 2 the input is wrong.

Examples:
  python -m suite.export runs/quickstart --model cgcnn --out my-model
  python -m suite.predict my-model my.cif
  python -m suite.export runs/fold-[0-4] --format matbench --out submission
  python -m suite.export runs/quickstart --format jarvis --out submission
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from suite.command_line import DONE, INTERRUPTED, WRONG_INPUT, command_parser
from suite.interrupts import interruptible

FORMATS = ("model", "matbench", "jarvis")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        with interruptible():
            for path in _export(options):
                print(f"{path}: {path.stat().st_size:,} bytes")
            return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ValueError, OSError) as error:
        print(f"suite.export: {error}", file=sys.stderr)
        return WRONG_INPUT


def _export(options: argparse.Namespace) -> list[Path]:
    if options.format != "matbench" and len(options.runs) > 1:
        raise ValueError(f"RUN: expected one, got {len(options.runs)}; only --format matbench takes several")
    if options.format == "model":
        return export_model(options.runs[0], options.model, options.out, options.half)
    from suite.exporting.ensembles import predictions_of

    found = [predictions_of(run, options.target, options.model) for run in options.runs]
    if options.format == "matbench":
        from suite.exporting.matbench import write_matbench

        return [write_matbench(found, options.out)]
    from suite.exporting.jarvis import write_jarvis

    return write_jarvis(found[0], options.out, options.data)


def export_model(run: Path, model: str | None, out: Path, half: bool = False) -> list[Path]:
    """Write the model's folder, which `suite.load` reads; gives the paths of its files.

    Args:
        run: a run, or an exported folder.
        model: key of the registry; None: the best on validation, if it is the same for every target.
        out: the folder, which must not hold anything else.
        half: store the weights as float16.

    Raises:
        ValueError: the run cannot be used, targets have different best models, or `out` holds other files.
    """
    from suite.exporting.card import model_card
    from suite.exporting.discovery import discovery_yaml
    from suite.prediction.exported import CONFIG, WEIGHTS, write_exported
    from suite.prediction.locate import read_targets
    from suite.records import write_text

    targets = read_targets(run, model)
    models = sorted({trained.saved.model for trained in targets})
    if len(models) > 1:
        raise ValueError(
            f"--model: expected one of {', '.join(models)}, each the best for some target, got none"
        )
    names = (CONFIG, WEIGHTS, "model_card.md", "matbench_discovery.yml")
    if out.exists() and (not out.is_dir() or {path.name for path in out.iterdir()} - set(names)):
        raise ValueError(f"--out {out}: expected a new folder or an earlier export, got one with other files")
    saved = [trained.saved for trained in targets]
    write_exported(out, targets, half)
    write_text(out / names[2], model_card(out.resolve().name, saved, half))
    write_text(out / names[3], discovery_yaml(out.resolve().name, saved))
    return [out / name for name in names]


def parser() -> argparse.ArgumentParser:
    """The command line that this command understands."""
    parser = command_parser("suite.export", __doc__, "RUN... --out DIR [options]")
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="a finished run (runs/<name>)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--model", metavar="M", help="model of the run (default: the best on validation)")
    parser.add_argument(
        "--format", metavar="F", choices=FORMATS, default="model", help="model (default), matbench or jarvis"
    )
    parser.add_argument("--half", action="store_true", help="store weights as float16, in half the space")
    parser.add_argument("--target", metavar="T", help="for a leaderboard: which target of the run")
    parser.add_argument(
        "--data", type=Path, default=Path("data"), metavar="DIR", help="prepared data sets (default: data)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
