"""Early stopping: within one model only, and the same after a restart."""

import math
from pathlib import Path

import pytest
from hand_driven_search import OVERRIDES, Search
from ray.tune.search import Searcher


def test_a_trial_is_compared_with_its_own_model_only(tmp_path: Path) -> None:
    search = Search(tmp_path)
    numbers = [search.start(f"tune{n}") for n in range(4)]  # crystalformer, cgcnn, crystalformer, cgcnn
    assert search.result(numbers[0], 2, 0.1) == "CONTINUE"
    assert search.result(numbers[1], 2, 0.9) == "CONTINUE"  # far behind, but the first of its model
    assert search.result(numbers[3], 2, 0.8) == "CONTINUE"
    assert search.result(numbers[2], 2, 0.2) == "STOP"
    row = search.ledger.rows("y")[2]
    assert row["state"] == "stopped"
    assert "0.2 after epoch 2 is not among the best 1/2 of its model's trials" in row["ended"]


def test_the_grace_period_is_kept_and_the_last_epoch_is_no_stop(tmp_path: Path) -> None:
    search = Search(tmp_path)
    first, _, third = (search.start(f"tune{n}") for n in range(3))
    for epoch in range(1, 8):
        assert search.result(first, epoch, 0.1) == "CONTINUE"
    assert search.result(first, 8, 0.1) == "DONE"
    assert search.result(third, 1, 0.9) == "CONTINUE"
    assert search.result(third, 2, 0.9) == "STOP"
    assert [row["state"] for row in search.ledger.rows("y")] == ["complete", "running", "stopped"]


def test_a_search_that_is_to_stop_starts_nothing_and_ends_when_nothing_runs(tmp_path: Path) -> None:
    """Tune would ask an idle search for ten minutes."""
    search = Search(tmp_path, (*OVERRIDES, "search.scheduler=none"))
    number = search.start("tune0")
    search.interrupted = True
    assert search.searcher.suggest("tune1") is None
    assert search.result(number, 8, 0.1) == "DONE"
    assert search.searcher.suggest("tune1") == Searcher.FINISHED
    assert search.ledger.work_left()


def test_without_early_stopping_nothing_stops(tmp_path: Path) -> None:
    search = Search(tmp_path, (*OVERRIDES, "search.scheduler=none"))
    first, _, third = (search.start(f"tune{n}") for n in range(3))
    assert search.result(first, 2, 0.1) == "CONTINUE"
    assert search.result(third, 2, 99.0) == "CONTINUE"


@pytest.mark.parametrize("value", [0.05, 0.15, 0.25, 0.35])
def test_a_restarted_search_decides_as_the_uninterrupted_one(tmp_path: Path, value: float) -> None:
    def decision(folder: Path, restart: bool) -> list[str]:
        folder.mkdir()
        search = Search(folder)
        for number, error in ((0, 0.1), (2, 0.2), (4, 0.3)):
            while number not in search.trials:
                search.start(f"tune{len(search.trials)}")
            if search.result(number, 2, error) == "CONTINUE":
                search.result(number, 8, error)
        while len(search.trials) < 7:
            search.start(f"tune{len(search.trials)}")
        if restart:
            search = Search(folder)
            while len(search.trials) < 4:  # the unfinished: 1, 3, 5, 6
                search.start(f"again{len(search.trials)}")
        assert 6 in search.trials
        return [search.result(6, 1, value), search.result(6, 2, value)]

    assert decision(tmp_path / "a", False) == decision(tmp_path / "b", True)


def test_a_used_up_time_budget_stops_every_running_trial(tmp_path: Path) -> None:
    search = Search(tmp_path, (*OVERRIDES, "budget.hours=1"))
    number = search.start("tune0")
    search.ledger.budget._searched_s = lambda: 3601.0
    assert search.result(number, 1, 0.1) == "STOP"
    assert search.ledger.rows("y")[0]["ended"] == "the budget of 1 h was used up in epoch 1"
    assert search.searcher.suggest("tune1") == "FINISHED"


def test_failures_and_lost_workers_are_recorded_with_their_reason(tmp_path: Path) -> None:
    search = Search(tmp_path)
    search.start("tune0"), search.start("tune1")
    search.searcher.on_trial_complete("tune0", {"failed": "out of memory: 3 GB", "epoch": 2, "done": True})
    for again in range(
        9
    ):  # Tune gives a trial up whose worker is lost while it is set up; the ledger does not
        search.searcher.on_trial_complete(f"tune{1 + again}", error=True)
        if again < 8:
            assert search.start(f"tune{2 + again}") == 1
    assert [row["state"] for row in search.ledger.rows("y")] == ["failed", "failed"]
    reasons = [row["ended"] for row in search.ledger.rows("y")]
    assert reasons == ["out of memory: 3 GB", "its worker was lost more often than is retried"]


def test_the_row_of_a_trial_says_what_its_range_leaves_out(tmp_path: Path) -> None:
    search = Search(tmp_path)
    for number, settings in enumerate(({"lattice_range": "tolerance"}, {}, {"lattice_range": 2})):
        search.settings = settings
        assert search.start(f"tune{number}") == number
        search.result(number, 8, 0.1)
    rows = search.ledger.rows("y")
    assert 1e-6 < rows[0]["truncation_bound"] <= 1e-5
    assert 12 < rows[0]["images_radius"] < 13
    for row in rows[1:]:
        assert math.isnan(row["truncation_bound"])
        assert math.isnan(row["images_radius"])


def test_the_crystals_that_a_trial_was_without_are_recorded(tmp_path: Path) -> None:
    search = Search(tmp_path)
    search.start("tune0"), search.start("tune1")
    result = {"epoch": 8, "val_mae": 0.1, "parameters": 1, "trained_s": 1.0}
    search.searcher.on_trial_complete("tune0", result | {"missing": 3})
    search.searcher.on_trial_complete("tune1", result | {"missing": 0})
    assert [row["missing"] for row in search.ledger.rows("y")] == [3, 0]
