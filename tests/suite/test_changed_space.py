"""A search space that changes: a new study, with the trials of the earlier one that are its own, too."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from suite_fixtures import small_space, write_small_table

from reports.trace import main as trace
from suite.experiment import Experiment
from suite.prepare import prepare_data
from suite.records import read_json
from suite.search_record import ExperimentError
from suite.space.search_space import load_space
from suite.tasks import trial_task

ROOT = Path(__file__).resolve().parents[2]
SEARCHED = {
    "models": {
        "cgcnn": {"node_width": {"choices": [8, 16]}, "hidden_width": 16},
        "crystalformer": {"num_layers": {"int": [1, 2]}, "width": 16, "heads": 2, "ff_width": 32},
    },
    "budget": {"trials": 8, "epochs": 4},
}


def opened(folder: Path, *overrides: str) -> Experiment:
    space = load_space(folder / "space.yaml", overrides)
    return Experiment.open(folder / "runs", space, prepare_data(space, folder / "data"), "command", False)


def carry_out(experiment: Experiment, trials: int, **ends: str) -> None:
    """Has the next trials come to an end; `ends` are states by trial id, complete where nothing is said."""
    (ledger,) = experiment.ledgers.values()
    for _ in range(trials):
        given = ledger.next()
        assert given is not None
        state = ends.get(given.trial_id, "complete")
        if state == "running":
            continue
        task = trial_task(experiment, "log10_K_VRH", given)
        result = {
            "epochs": 4 if state == "complete" else 2,
            "val_mae": 0.1 + 0.01 * given.number,
            "seconds": 1.0,
            "recipe": task.recipe,
            "config": json.dumps(task.resolved_config()),
            **({"infeasible": True} if state == "oom" else {}),
        }
        ledger.finish(given.number, "failed" if state == "oom" else state, "", result)


def first_search(folder: Path, **ends: str) -> pd.DataFrame:
    small_space(folder, **SEARCHED)
    with opened(folder) as experiment:
        carry_out(experiment, 8, **ends)
        return pd.DataFrame(experiment.rows())


def imported(experiment: Experiment) -> str:
    """What a user is told."""
    return next(note for note in experiment.record["notes"] if note.startswith("the search space changed"))


def test_trials_inside_the_new_space_are_imported_and_count(tmp_path: Path) -> None:
    before = first_search(tmp_path, t0002="stopped", t0003="failed", t0004="oom", t0005="running")
    earlier = read_json(tmp_path / "runs/small/search.json")["space_digest"]
    highest = float(before["cgcnn/lr"].max())
    with opened(tmp_path, f"models.cgcnn.lr={{float: [1e-4, {0.999 * highest}], log: true}}") as experiment:
        outside = set(before[before["cgcnn/lr"] == highest]["trial_id"]) - {"t0003", "t0005"}
        kept = before[~before["trial_id"].isin(outside | {"t0003", "t0005"})].reset_index(drop=True)
        rows = pd.DataFrame(experiment.rows())
        for column in ("trial_id", "model", "state", "val_mae", "epochs", "config", "cgcnn/lr", "seed"):
            pd.testing.assert_series_equal(rows[column], kept[column])
        assert rows["number"].tolist() == list(range(len(kept)))
        assert set(rows["imported_from"]) == {earlier[:8]}
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / "runs/small/trials.parquet")[["trial_id"]], rows[["trial_id"]]
        )

        said = imported(experiment)
        assert said.startswith("the search space changed, models.cgcnn.domains.lr.float was [0.0001, 0.002]")
        assert f"a new study has imported {len(kept)} of 8 trials of the earlier search; " in said
        reasons = said.partition(" not: ")[2].split(", ")
        assert sorted(reasons) == sorted(["1 failed", "1 unfinished", f"{len(outside)} outside lr"])

        (ledger,) = experiment.ledgers.values()
        states = [trial.state for trial in ledger.trials()]
        assert states.count("stopped") == states.count("failed") == 1
        left = 8 - len(kept)
        new = [ledger.next() for _ in range(left)]
        assert [trial.trial_id for trial in new if trial] == [f"t{8 + n:04d}" for n in range(left)]
        assert ledger.next() is None
        # The published configuration that was imported has no second turn; that of cgcnn is another one now.
        first = {key: model.first for key, model in experiment.space.models.items()}
        assert [trial.model for trial in new if trial and trial.params == first[trial.model]] == ["cgcnn"]
    with opened(tmp_path, f"models.cgcnn.lr={{float: [1e-4, {0.999 * highest}], log: true}}") as again:
        assert imported(again) == said
        assert [row["trial_id"] for row in again.rows()] == [
            *kept["trial_id"],
            *(t.trial_id for t in new if t),
        ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (["train.batch_size=16"], "with another batch_size"),
        (["models.crystalformer.heads=1", "models.cgcnn.hidden_width=32"], "with another h"),
        (["budget.epochs=5"], "of another number of epochs"),
        (["data.split={train: 0.7, val: 0.2, test: 0.1}"], "of another split"),
        (["objective=[val_mae, parameters]"], "of other objectives"),
        (["train.recipe=published"], "of another recipe"),
    ],
)
def test_what_is_not_the_same_search_is_not_imported(tmp_path: Path, changes: list[str], reason: str) -> None:
    first_search(tmp_path)
    with opened(tmp_path, *changes) as experiment:
        assert not experiment.rows()
        assert "imported 0 of 8 trials of the earlier search; 8 not: " in imported(experiment)
        assert reason in imported(experiment)
    assert not (tmp_path / "runs/small/trials.parquet").exists()  # which would show another search's trials


def test_constants_may_become_ranges_and_ranges_constants(tmp_path: Path) -> None:
    before = first_search(tmp_path)
    widths = before[(before["model"] == "cgcnn") & (before["cgcnn/node_width"] == 16)]
    changes = [
        "models.cgcnn.node_width=16",
        "models.cgcnn.hidden_width={int: [8, 32]}",
        "models.crystalformer.r0={float: [0.7, 2.8]}",
        "train.batch_size={choices: [4, 8]}",
    ]
    with opened(tmp_path, *changes) as experiment:
        rows = pd.DataFrame(experiment.rows())
        cgcnn, crystalformer = (rows[rows["model"] == model] for model in ("cgcnn", "crystalformer"))
        assert cgcnn["trial_id"].tolist() == widths["trial_id"].tolist()
        assert set(cgcnn["cgcnn/hidden_width"]) == {16}
        assert len(crystalformer) == 4
        assert set(crystalformer["crystalformer/r0"]) == {1.4}
        assert set(rows["config"]) <= set(before["config"])
        # And they are where the sampler goes on from.
        (ledger,) = experiment.ledgers.values()
        assert set(ledger.trials()[0].assignment.params) >= {"batch_size"}


def test_there_and_back_again_keeps_every_trial_under_its_own_id(tmp_path: Path) -> None:
    first_search(tmp_path)
    wider = "train.lr={float: [1e-4, 4e-3], log: true}"
    with opened(tmp_path, wider, "budget.trials=10") as experiment:
        assert "imported 8 of 8 trials of the earlier search" in imported(experiment)
        carry_out(experiment, 2)
    with opened(tmp_path, "budget.trials=12") as experiment:
        ids = [row["trial_id"] for row in experiment.rows()]
        inside = [n for n in (8, 9) if f"t{n:04d}" in ids]
        assert ids == [f"t{n:04d}" for n in [*range(8), *inside]]
        assert f"imported {len(inside)} of 2 trials" in imported(experiment)
        carry_out(experiment, 12 - len(ids))
        new = [row["trial_id"] for row in experiment.rows() if row["number"] >= len(ids)]
        assert new == [f"t{n:04d}" for n in range(10, 10 + len(new))]
    with opened(tmp_path, wider, "budget.trials=10") as experiment:
        ids = [row["trial_id"] for row in experiment.rows()]
        assert len(ids) == len(set(ids)) == 10 + len(new)
        (ledger,) = experiment.ledgers.values()
        assert ledger.next() is None


def test_other_targets_and_models_do_not_share_ids(tmp_path: Path) -> None:
    table = write_small_table(tmp_path / "small.jsonl")
    records = [json.loads(line) for line in table.read_text().splitlines()]
    for record in records:
        record["targets"]["density"] = len(record["species"])
    table.write_text("\n".join(map(json.dumps, records)))
    first_search(tmp_path)
    with opened(tmp_path, "data.target=density") as experiment:
        (ledger,) = experiment.ledgers.values()
        assert ledger.next().trial_id == "t0008"  # type: ignore[union-attr]
        assert "no trial of the earlier search to import" in imported(experiment)
    with opened(tmp_path, "models={cgcnn: {node_width: {choices: [8, 16]}, hidden_width: 16}}") as experiment:
        assert "imported 4 of 8 trials of the earlier search; 4 not: 4 of crystalformer" in imported(
            experiment
        )


def test_an_ablation_imports_what_is_part_of_its_design(tmp_path: Path) -> None:
    reference = (
        "{reference: {lr: 0.001, node_width: 8, hidden_width: 16}, factors: {node_width: [8, 16], FACTOR}}"
    )
    small_space(
        tmp_path,
        models={"cgcnn": {}},
        train={"batch_size": 8},
        search={"sampler": "ablate", "design": "factorial", "seeds": [0, 1]},
        budget={"epochs": 4},
    )
    factors = f"models.cgcnn={reference.replace('FACTOR', 'hidden_width: [32]')}"
    with opened(tmp_path, factors) as experiment:
        carry_out(experiment, 8, t0005="stopped")
    with opened(tmp_path, factors, "search.design=one-at-a-time") as experiment:
        said = imported(experiment)
        assert "imported 5 of 8 trials of the earlier search; 3 not: " in said
        assert "2 not part of the design" in said
        assert "1 not at full length" in said
        carry_out(experiment, 1)  # the one that was stopped
        assert experiment.ledgers["log10_K_VRH"].next() is None
        points = [
            (row["seed"], row["cgcnn/node_width"], row["cgcnn/hidden_width"]) for row in experiment.rows()
        ]
        assert sorted(points) == sorted((s, *p) for s in (0, 1) for p in ((8, 16), (16, 16), (8, 32)))


def test_other_data_are_refused(tmp_path: Path) -> None:
    first_search(tmp_path)
    table = tmp_path / "small.jsonl"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))
    with pytest.raises(ExperimentError, match=r"the data \(digest\) was .* and is .*--fresh"):
        opened(tmp_path)
    assert not (tmp_path / "runs/small/earlier").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
import suite.ledger
from test_changed_space import opened
add, left = suite.ledger.TrialLedger.adopt, [int(sys.argv[2])]
def adopt(self, *args):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    add(self, *args)
suite.ledger.TrialLedger.adopt = adopt
opened(Path(sys.argv[1]), sys.argv[3])
"""


def test_an_import_that_is_killed_is_gone_on_with(tmp_path: Path) -> None:
    before = first_search(tmp_path)
    wider = "train.lr={float: [1e-4, 4e-3], log: true}"
    paths = {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'tests/suite'}:{ROOT}", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", KILLED, str(tmp_path), "3", wider]
    done = subprocess.run(command, cwd=ROOT, env=paths, capture_output=True, text=True, timeout=200)
    assert done.returncode == -signal.SIGKILL, done.stderr
    record = read_json(tmp_path / "runs/small/search.json")
    assert record["space"]["models"]["cgcnn"]["domains"]["lr"]["float"] == [1e-4, 2e-3]  # still the earlier
    with opened(tmp_path, wider) as experiment:
        assert "imported 8 of 8 trials of the earlier search" in imported(experiment)
        rows = pd.DataFrame(experiment.rows())
        assert rows["trial_id"].tolist() == before["trial_id"].tolist()
        pd.testing.assert_series_equal(rows["val_mae"], before["val_mae"])


def test_the_command_goes_on_under_a_changed_space_and_its_cells_are_traced(
    finished: Path,
    tmp_path: Path,
    search_command: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("runs", "data"):
        shutil.copytree(finished / name, tmp_path / name)
    shutil.copy(finished / "space.yaml", tmp_path)
    run_folder = tmp_path / "runs/small"
    before = pd.read_parquet(run_folder / "trials.parquet")
    command = search_command(tmp_path, "--set", "train.lr={float: [5e-5, 2e-3], log: true}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "imported 6 of 6 trials of the earlier search" in done.stdout
    assert "started" not in done.stdout  # nothing was trained again
    trials = pd.read_parquet(run_folder / "trials.parquet")
    pd.testing.assert_frame_equal(trials.drop(columns="imported_from"), before.drop(columns="imported_from"))
    assert {path.parent.name for path in (run_folder / "trials").glob("*/curve.csv")} == set(
        trials["trial_id"]
    )

    arguments = [str(run_folder), "--model", "cgcnn", "--target", "log10_K_VRH"]
    assert trace(arguments) == 0
    source = trials["imported_from"][0]
    assert (
        f"imported from an earlier search of this experiment, earlier/{source}.yaml"
        in capsys.readouterr().out
    )
    assert (run_folder / "earlier" / f"{source}.yaml").read_text() == (tmp_path / "space.yaml").read_text()
    record = run_folder / "earlier" / f"{source}.json"
    record.write_text(record.read_text().replace("0.0001", "0.0002"))
    assert trace(arguments) == 1
    assert "DISAGREES" in capsys.readouterr().out
