"""The stopping rules by themselves: HyperBand's brackets, ASHA's rung, the median rule."""

from pathlib import Path

import pytest
from toy_spaces import MINIMAL, load

from suite.median import median_stop
from suite.ray_driver.halving import Halving
from suite.trial_record import Curve


def halving(folder: Path, scheduler: str, **search: int) -> Halving:
    settings = [f"search.{key}={value}" for key, value in {"scheduler": scheduler, **search}.items()]
    return Halving(load(folder, MINIMAL, "budget.epochs=27", *settings))


def first_stop(rule: Halving, number: int) -> int | None:
    """The epoch after which a hopeless trial is stopped."""
    return next((epoch for epoch in range(1, 27) if rule.stop(number, epoch, 9.0)), None)


def test_asha_stops_the_hopeless_at_its_first_rung(tmp_path: Path) -> None:
    rule = halving(tmp_path, "asha", grace_epochs=2, reduction=3)
    rule.add(0)
    assert rule.stop(0, 2, 0.1) is None
    rule.add(1)
    assert rule.stop(1, 1, 9.0) is None
    assert rule.stop(1, 2, 9.0) == "ASHA: 9 after epoch 2 is not among the best 1/3 of its model's trials"


def test_hyperband_gives_some_trials_longer(tmp_path: Path) -> None:
    rule = halving(tmp_path, "hyperband", grace_epochs=1, reduction=3)
    for number in range(300):  # good ones fill the rungs of every bracket
        rule.add(number)
        assert all(rule.stop(number, epoch, 0.1) is None for epoch in range(1, 27))
        rule.end(number, 27, 0.1)
    stops = []
    for number in range(300, 400):
        rule.add(number)
        stops.append(first_stop(rule, number))
    assert set(stops) == {1, 3, 9}
    assert stops.count(1) > stops.count(3) > stops.count(9)


def test_a_trial_is_in_the_same_bracket_on_any_day(tmp_path: Path) -> None:
    def stops() -> list[int | None]:
        rule = halving(tmp_path, "hyperband", grace_epochs=1, reduction=3)
        for number in range(40):
            rule.add(number)
            rule.stop(number, 26, 0.1)
        return [first_stop(rule, number) for number in range(40)]

    assert stops() == stops()


def test_the_median_rule_compares_the_best_with_the_usual() -> None:
    others = [Curve(values) for values in ([1.0, 0.5, 0.4], [1.0, 0.7], [2.0, 1.0, 0.8], [0.1])]
    # averages up to epoch 2: 0.75, 0.85, 1.5
    assert median_stop(0.84, others, 2) is None
    reason = median_stop(0.86, others, 2)
    assert (
        reason == "median rule: 0.86 up to epoch 2 is above 0.85, the median of 3 other trials of its model"
    )
    assert median_stop(9.0, others, 3) is None  # only two others came this far


@pytest.mark.parametrize("scheduler", ["hyperband", "median"])
def test_the_names_are_known(tmp_path: Path, scheduler: str) -> None:
    assert load(tmp_path, MINIMAL, f"search.scheduler={scheduler}").search.scheduler == scheduler
