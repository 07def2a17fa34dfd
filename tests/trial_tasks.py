"""The task of a trial over the small data set."""

from dataclasses import asdict, replace
from pathlib import Path

from suite_fixtures import small_space

from suite.prepare import prepare_data
from suite.space.search_space import load_space
from suite.trial_task import TrialTask


def task_of(
    root: Path, model: str, epochs: int = 4, overrides: tuple[str, ...] = (), **changes: object
) -> TrialTask:
    """`overrides` of the search space, `changes` of the task."""
    lengths = (f"budget.epochs={epochs}", f"final.epochs={epochs}")
    space = load_space(small_space(root), (*lengths, *overrides))
    data = prepare_data(space, root / "data")
    model_config, train_config = space.resolve(model, space.models[model].first)
    task = TrialTask(
        run_id="t0000",
        model=model,
        model_config=asdict(model_config),
        train_config=asdict(train_config),
        recipe="common",
        seed=1,
        target="log10_K_VRH",
        unit="log10(GPa)",
        store=str(data.store.path),
        split=data.splits["log10_K_VRH"].hash,
        folder=str(root / "run"),
        cache=str(root / "cache"),
        tensorboard=str(root / "tensorboard"),
        hparams={"model": model},
    )
    return replace(task, **changes)  # type: ignore[arg-type]
