"""The task of a trial over the small data set."""

from dataclasses import asdict, replace
from pathlib import Path

from suite_fixtures import small_space

from suite.prepare import PreparedData, prepare_data
from suite.space.search_space import SearchSpace, load_space
from suite.trial_task import TrialTask


def task_of(
    root: Path, model: str, epochs: int = 4, overrides: tuple[str, ...] = (), **changes: object
) -> TrialTask:
    """`overrides` of the search space, `changes` of the task."""
    lengths = (f"budget.epochs={epochs}", f"final.epochs={epochs}")
    space = load_space(small_space(root), (*lengths, *overrides))
    data = prepare_data(space, root / "data")
    return replace(task_over(space, data, model, root), **changes)  # type: ignore[arg-type]


def task_over(space: SearchSpace, data: PreparedData, model: str, root: Path) -> TrialTask:
    """The first trial of a model, of the only target of a space."""
    [(target, split)] = data.splits.items()
    model_config, train_config = space.resolve(model, space.models[model].first)
    return TrialTask(
        run_id="t0000",
        model=model,
        model_config=asdict(model_config),
        train_config=asdict(train_config),
        recipe="common",
        seed=1,
        target=target,
        unit=data.units[target],
        store=str(data.store.path),
        split=split.hash,
        folder=str(root / "run"),
        cache=str(root / "cache"),
        tensorboard=str(root / "tensorboard"),
        hparams={"model": model},
    )
