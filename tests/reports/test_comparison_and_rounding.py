"""The paired test against closed forms, and the digits that an uncertainty allows."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from reports.comparison import compare, holm, paired
from reports.rounding import count, p_value, significant, with_sd


def student_4_two_sided(t: float) -> float:
    """Two-sided p of Student's t with four degrees of freedom, in closed form."""
    s = t / math.sqrt(1 + t * t / 4)
    return 2 * (1 - (0.5 + 0.375 * s * (1 - s * s / 12)))


def test_paired_p_value_is_students() -> None:
    """Differences 1..5: mean 3, standard error sqrt(2.5 / 5), t = 3 / sqrt(0.5)."""
    found = compare(pd.DataFrame({"worse": [2.0, 3, 4, 5, 6], "better": [1.0] * 5}))
    assert found is not None
    assert found.best == "better"
    assert found.rivals[0].difference == 3
    assert found.rivals[0].p == pytest.approx(student_4_two_sided(3 / math.sqrt(0.5)), rel=1e-10)
    assert found.supported


def test_interval_and_p_are_scipys() -> None:
    without, changed = np.random.default_rng(5).normal(0.05, 0.01, (2, 7))
    oracle = ttest_rel(changed, without)
    interval = oracle.confidence_interval(0.95)
    assert paired(changed - without) == pytest.approx(
        ((changed - without).mean(), interval.low, interval.high, oracle.pvalue), rel=1e-12
    )


def test_holm_correction_of_a_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_best_must_differ_from_every_other_model() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(60)
    errors = pd.DataFrame({"a": base, "b": base + rng.normal(0.001, 0.3, 60), "c": base + 1 + rng.random(60)})
    found = compare(errors)
    assert found is not None
    assert not found.supported
    assert [rival.candidate for rival in found.rivals][-1] == "c"
    assert found.rivals[-1].p < 0.001


def test_equal_errors_are_no_difference() -> None:
    found = compare(pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0]}))
    assert found is not None
    assert found.rivals[0].p == 1.0


def test_pairs_are_compared_on_the_crystals_that_both_predicted() -> None:
    """Differences on the first five crystals are 1..5, as above."""
    gone = math.nan
    errors = pd.DataFrame(
        {
            "best": [1.0, 1, 1, 1, 1, gone, 1],
            "partial": [2.0, 3, 4, 5, 6, 50, gone],
            "whole": [60.0, 70, 60, 70, 60, 70, 60],
        }
    )
    found = compare(errors)
    assert found is not None
    assert [(rival.candidate, rival.crystals) for rival in found.rivals] == [("partial", 5), ("whole", 6)]
    assert found.rivals[0].difference == 3
    assert found.rivals[0].p == pytest.approx(student_4_two_sided(3 / math.sqrt(0.5)), rel=1e-10)
    assert found.crystals == 7


def test_a_lower_mean_over_easier_crystals_is_no_better_model() -> None:
    """`easy` has the lower MAE because it lacks the hard crystals; on the others `all` is better."""
    easy = [1.0, 1.1, 1.2, 1.3, math.nan, math.nan]
    found = compare(pd.DataFrame({"easy": easy, "all": [0.5, 0.55, 0.75, 0.8, 9.0, 9.0]}))
    assert found is not None
    assert found.best == "easy"
    assert found.rivals[0].difference < 0
    assert found.rivals[0].p < 0.05
    assert not found.supported


def test_nothing_is_tested_on_different_crystals_or_with_one_model() -> None:
    assert compare(pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, math.nan]})) is None
    assert compare(pd.DataFrame({"a": [1.0, 2.0]})) is None
    assert compare(pd.DataFrame({"a": [1.0], "b": [2.0]})) is None


@pytest.mark.parametrize(
    ("value", "sd", "printed"),
    [
        (0.07123, 0.00262, ("0.071", "0.003")),
        (0.08496, 0.00184, ("0.0850", "0.0018")),
        (0.0712, 0.0096, ("0.071", "0.010")),
        (33.19, 7.34, ("33", "7")),
        (1234.5, 12.3, ("1,234", "12")),
        (0.0712345, math.nan, ("0.0712", "")),
        (0.0712345, 0.0, ("0.0712", "")),
    ],
)
def test_values_are_rounded_to_their_uncertainty(value: float, sd: float, printed: tuple[str, str]) -> None:
    assert with_sd(value, sd) == printed


def test_plain_numbers() -> None:
    assert [significant(x) for x in (0.00012345, 0.9996, 12345.6, 0.0)] == ["0.000123", "1.00", "12,346", "0"]
    assert significant(math.nan) == ""
    assert (count(853505), count(None), count(math.nan)) == ("853,505", "", "")
    assert (p_value(0.0123), p_value(1e-9)) == ("p = 0.012", "p < 0.001")
