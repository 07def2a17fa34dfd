"""Search hyper-parameters, train the best of each model again, and report.
The same command again continues an unfinished experiment and rebuilds the report of a finished one.
Exit codes: 0 done, 1 failed and resumable, 2 the input is wrong, 130 interrupted and resumable.

Examples:
  python -m suite.search --space search_spaces/quickstart.yaml
  python -m suite.search --space search_spaces/mp.yaml --dry-run --set budget.epochs=100
"""

import argparse
import shlex
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from suite.broken import SearchBroken, disk_fault
from suite.command_line import DONE, FAILED, INTERRUPTED, WRONG_INPUT, command_parser
from suite.interrupts import interruptible
from suite.look_closer import dashboard_command, tensorboard_command
from suite.ray_address import check_address
from suite.storage_url import DEFAULT, check_storage, without_secrets

if TYPE_CHECKING:
    from suite.experiment import Experiment
    from suite.mirror import Mirror
    from suite.prepare import PreparedData
    from suite.space.search_space import SearchSpace


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    console, errors = Console(), Console(stderr=True)
    try:
        with interruptible():
            return _run(options, console, errors)
    except KeyboardInterrupt:
        _say(errors, "interrupted; the same command continues")
        return INTERRUPTED


def _run(options: argparse.Namespace, console: Console, errors: Console) -> int:
    try:
        if options.address:
            check_address(options.address)
        check_storage(options.storage)
        if ":/" in str(options.runs):
            raise ValueError(
                f"--runs: expected a folder, got {options.runs}; --mirror URL keeps a copy there"
            )
        space = space_of(options)
        if options.dry_run:
            return _describe(options, space, console)
        data = _prepare(options, space, console)
    except ValueError as error:
        _say(errors, str(error))
        return WRONG_INPUT

    from suite.experiment import Experiment, ExperimentBusy, ExperimentError
    from suite.mirror import MirrorError
    from suite.mirroring import mirroring
    from suite.storage import StorageDown

    try:
        mirror = _mirror(options, space.name)
        experiment = Experiment.open(
            options.runs, space, data, _recorded_command(), options.fresh, options.storage, mirror
        )
    except (ExperimentError, MirrorError, ExperimentBusy, StorageDown) as error:
        _say(errors, str(error))
        return FAILED if isinstance(error, ExperimentBusy | StorageDown) else WRONG_INPUT
    try:
        with mirroring(mirror, experiment.folder), experiment:
            return _carry_out(experiment, options.address, console, errors)
    except SearchBroken as error:
        _say(errors, f"{error}. The same command continues.")
        return FAILED
    except Exception as error:
        if fault := disk_fault(error):
            _say(errors, f"{fault}. The same command continues.")
            return FAILED
        # The reason in a line for the reader, the whole for whoever mends it.
        (experiment.folder / "error.txt").write_text("".join(traceback.format_exception(error)))
        _say(errors, f"{type(error).__name__}: {str(error).strip() or 'no message'}")
        _say(errors, f"In full: {_shown(experiment.folder / 'error.txt')}. The same command continues.")
        return FAILED


def _describe(options: argparse.Namespace, space: "SearchSpace", console: Console) -> int:
    """What would be searched; nothing is downloaded for it."""
    from suite.estimates import estimate
    from suite.expected import expected
    from suite.space.describe import describe

    numbers = expected(space, options.data)
    if numbers is not None:
        console.print(describe(space, numbers.crystals, numbers.counts, expected=True))
        _say(console, "Note: memory, disk and time of the examples are measured once the data are there")
        return DONE
    data = _prepare(options, space, console)
    counts = {target: split.counts for target, split in data.splits.items()}
    estimates = estimate(space, data)
    console.print(describe(space, len(data.store), counts, estimates=estimates.of))
    for note in estimates.notes:
        _say(console, f"Note: {note}")
    return DONE


def _prepare(options: argparse.Namespace, space: "SearchSpace", console: Console) -> "PreparedData":
    """The data of the search; what is wrong with them is told with the place that asks for them."""
    from crystalformer.sources.published.files import Unobtainable
    from suite.data.hints import by_hand, instead
    from suite.data.transfers import watching_transfers
    from suite.prepare import prepare_data

    try:
        with watching_transfers(console) as watcher:
            return prepare_data(space, options.data, watcher)
    except Unobtainable as error:
        hints = f"{by_hand(error.dataset, error.files, options.data)}\n{instead()}"
        raise ValueError(f"{options.space}: data: {error}\n{hints}") from error
    except OSError as error:
        raise ValueError(f"--data {options.data}: expected a folder to write to, got {error}") from error
    except ValueError as error:
        raise ValueError(f"{options.space}: data: {error}") from error


def _carry_out(experiment: "Experiment", address: str | None, console: Console, errors: Console) -> int:
    """The stages and the report; what is missing in the end is said and makes the search a failed one."""
    from suite.display import watching
    from suite.stages import NoUsableTrial, build_report, run_stages

    _say_left_out(experiment, console)
    for note in experiment.record["notes"]:
        _say(console, f"note: {note}")
    try:
        with watching(console, next(iter(experiment.data.units.values())) or "") as watcher:
            missing = run_stages(experiment, watcher, address)
    except NoUsableTrial as error:
        experiment.update(status="failed")
        _say(errors, str(error))
        return FAILED
    experiment.update(status="failed" if missing else "finished", finished=None if missing else _now())
    page = build_report(experiment)
    _show_results(experiment, page, console)
    for line in missing:
        _say(errors, f"missing: {line}")
    return FAILED if missing else DONE


def _say_left_out(experiment: "Experiment", console: Console) -> None:
    """How many rows and values the search does without, by reason."""
    from crystalformer.sources.rejections import summary

    left_out = experiment.data.left_out()
    if left_out:
        _say(console, f"left out, all listed in {_shown(experiment.folder / 'rejected.csv')}:")
        for line in summary(left_out):
            _say(console, line)


def _show_results(experiment: "Experiment", page: Path, console: Console) -> None:
    """The measured part of the table, and where to see more."""
    from suite.display import results_table

    console.print()
    console.print(results_table(page.with_name("mae_table.csv")))
    _say(console, f"Report:      {_shown(page)}")
    run, storage = experiment.folder, experiment.record["storage"]
    _say(console, f"TensorBoard: {tensorboard_command(run)}")
    _say(console, f"Dashboard:   {dashboard_command(run, storage)}")


def _mirror(options: argparse.Namespace, name: str) -> "Mirror | None":
    if options.mirror is None:
        return None
    from suite.mirror import Mirror, MirrorError

    mirror = Mirror.open(options.mirror, name)
    if options.fresh and mirror.holds_one():
        raise MirrorError(f"{mirror.shown}: holds this experiment: choose another --name for a fresh one")
    return mirror


def _recorded_command() -> str:
    """The command line, without passwords."""
    return shlex.join(["python", "-m", "suite.search", *map(_without_secrets, sys.argv[1:])])


def _without_secrets(word: str) -> str:
    """A word of the command line: a URL, or --flag=URL."""
    flag, equals, url = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{flag}{equals}{without_secrets(url)}" if "://" in url else word


def space_of(options: argparse.Namespace) -> "SearchSpace":
    """The search space that a command line asks for; the flags that are short for a `--set` win over one.

    Raises:
        SpaceError: as `suite.space.search_space.load_space`.
    """
    from suite.space.search_space import load_space

    overrides = list(options.set)
    if options.name is not None:
        overrides.append(f"name={options.name}")
    if options.trials is not None:
        overrides.append(f"budget.trials={options.trials}")
    models = [name.strip() for name in options.models.split(",") if name.strip()]
    return load_space(options.space, overrides, only=models)


def parser() -> argparse.ArgumentParser:
    """The command line that this command understands."""
    parser = command_parser("suite.search", __doc__, "--space FILE [options]")
    parser.add_argument("--space", type=Path, required=True, metavar="FILE", help="the search space (YAML)")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="results (default: runs)"
    )
    parser.add_argument(
        "--data", type=Path, default=Path("data"), metavar="DIR", help="prepared data sets (default: data)"
    )
    parser.add_argument("--name", metavar="N", help="name of the experiment, instead of the file's")
    parser.add_argument("--models", metavar="A,B", default="", help="search these models of the file only")
    parser.add_argument("--trials", metavar="N", help="number of trials, instead of the file's")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="change the file; repeatable"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be searched; start nothing")
    parser.add_argument(
        "--fresh", action="store_true", help="put an experiment of this name aside and begin anew"
    )
    parser.add_argument(
        "--storage", default=DEFAULT, metavar="URL", help="where the study lies (default: sqlite:///study.db)"
    )
    parser.add_argument("--mirror", metavar="URL", help="keep a copy elsewhere, such as s3://bucket/searches")
    parser.add_argument("--address", metavar="HOST:PORT", help="join a running Ray cluster")
    return parser


def _shown(path: Path) -> Path:
    """Relative to the current folder where that is shorter to type."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    sys.exit(main())
