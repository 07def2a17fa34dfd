"""Domains: what belongs to them, the nearest value, their number of values, and Optuna's view of them."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.space.domains import Choice, Constant, Domain, Float, Integer
from suite.space.values import as_field, parse_domain

NUMBERS = st.floats(-1e6, 1e6) | st.integers(-(10**6), 10**6)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=5)


@st.composite
def integers(draw: st.DrawFn) -> Integer:
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -1000, 1000))
    high = low + draw(st.integers(0, 1000))
    return Integer(low, high, 1 if log else draw(st.integers(1, 50)), log)


@st.composite
def floats(draw: st.DrawFn) -> Float:
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -10_000, 10_000)) / 100
    high = draw(st.integers(int(low * 100) + 1, 20_000)) / 100
    step = None if log else draw(st.none() | st.sampled_from([0.05, 0.1, 0.25, 1.0, 3.7]))
    return Float(low, high, step, log)


CHOICES = st.lists(SCALARS, min_size=1, max_size=6, unique_by=lambda value: (value,)).map(
    lambda values: Choice(tuple(values))
)
DOMAINS = integers() | floats() | CHOICES


@settings(deadline=None)
@given(DOMAINS, SCALARS)
def test_clip_gives_a_value_of_the_domain_and_keeps_such_values(domain: Domain, value: object) -> None:
    clipped = domain.clip(value)
    assert clipped in domain
    assert domain.clip(clipped) == clipped


@settings(deadline=None)
@given(integers(), NUMBERS)
def test_no_integer_is_nearer_than_the_clipped_one(domain: Integer, value: float) -> None:
    members = range(domain.low, domain.high + 1, domain.step)
    assert abs(domain.clip(value) - value) == min(abs(member - value) for member in members)


@settings(deadline=None)
@given(DOMAINS)
def test_a_domain_survives_being_written_and_read(domain: Domain) -> None:
    assert parse_domain(domain.plain()) == domain


@settings(deadline=None)
@given(DOMAINS, st.integers(0, 100))
def test_samples_and_probes_belong_to_the_domain_and_to_optuna_s(domain: Domain, seed: int) -> None:
    distribution = domain.distribution()
    for value in (domain.sample(random.Random(seed)), *domain.ends(), *domain.probes()):
        assert value in domain
        assert distribution._contains(distribution.to_internal_repr(value))


@pytest.mark.parametrize(
    ("domain", "value", "expected"),
    [
        (Integer(1, 4), 9, 4),
        (Integer(1, 4), 2.6, 3),
        (Integer(1, 8, step=3), 8, 7),  # 1, 4, 7
        (Integer(1, 4), "adaptive", 1),
        (Float(0.7, 2.8), 0.1, 0.7),
        (Float(0.0, 1.0, step=0.1), 0.32, 0.3),
        (Float(0.0, 1.0, step=0.3), 1.0, 0.9),
        (Choice((0, 2)), 50, 2),
        (Choice((1, 2, "adaptive")), "adaptive", "adaptive"),
        (Choice((1, 2, "adaptive")), 7, 2),
        (Choice(("l1", "mse")), "smooth_l1", "l1"),
        (Choice((None, 5)), 0.5, 5),
        (Choice(("a", True)), 1, "a"),  # true is no number
    ],
)
def test_the_nearest_value(domain: Domain, value: object, expected: object) -> None:
    assert domain.clip(value) == expected


@pytest.mark.parametrize(
    ("domain", "size"),
    [
        (Integer(1, 4), 4),
        (Integer(1, 8, step=3), 3),
        (Float(0.7, 2.8), math.inf),
        (Float(2.0, 2.0), 1),
        (Float(0.1, 0.3, step=0.1), 3),  # in floating point 0.1 + 2 * 0.1 > 0.3
        (Choice((1, 2, "adaptive")), 3),
    ],
)
def test_number_of_values(domain: Domain, size: float) -> None:
    assert domain.size() == size


def test_optuna_s_distributions() -> None:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    assert Integer(1, 8, step=3).distribution() == IntDistribution(1, 7, step=3)
    assert Integer(8, 512, log=True).distribution() == IntDistribution(8, 512, log=True)
    assert Float(1e-4, 2e-3, log=True).distribution() == FloatDistribution(1e-4, 2e-3, log=True)
    assert Float(0.0, 1.0, step=0.3).distribution() == FloatDistribution(0.0, 0.9, step=0.3)
    assert Choice((1, 2, "adaptive")).distribution() == CategoricalDistribution((1, 2, "adaptive"))


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "adaptive"])
def test_a_plain_value_is_a_constant(value: object) -> None:
    assert parse_domain(value) == Constant(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "to search its values write {choices: [1, 2]}"),
        ({"choice": [1]}, "unknown key 'choice'; closest: choices"),
        ({"int": [1, 2], "stp": 1}, "unknown key 'stp'; closest: step"),
        ({"step": 1}, "expected one of {int: [low, high]}, {float: [low, high]}, {choices: [...]}, got step"),
        ({}, "got an empty mapping"),
        ({"int": [1, 2], "float": [1, 2]}, "got int and float"),
        ({"int": [1]}, "int: expected [low, high], got [1]"),
        ({"int": 4}, "int: expected [low, high], got 4"),
        ({"int": [1.0, 4]}, "int: expected two whole numbers, got 1.0"),
        ({"int": [True, 4]}, "int: expected two whole numbers, got True"),
        ({"int": [4, 1]}, "int: expected low <= high, got [4, 1]"),
        ({"int": [0, 4], "log": True}, "int: expected low above 0 for log: true, got [0, 4]"),
        ({"int": [1, 4], "log": True, "step": 2}, "int: expected log or step, got both"),
        ({"int": [1, 4], "step": 0}, "step: expected a whole number of at least 1, got 0"),
        ({"float": ["1e-4", 1]}, "write numbers without quotes"),
        ({"float": ["low", 1]}, "float: expected two numbers, got 'low'"),
        ({"float": [2.0, 1.0]}, "float: expected low <= high, got [2, 1]"),
        ({"float": [0.0, 1.0], "log": True}, "float: expected low above 0 for log: true, got [0, 1]"),
        ({"float": [0.1, 1.0], "log": True, "step": 0.1}, "float: expected log or step, got both"),
        ({"float": [0.1, 1.0], "step": -1}, "step: expected a number above 0, got -1.0"),
        ({"float": [0, 1e30], "step": 1e-9}, "step: expected at most 1000000000 steps"),
        ({"float": [0, 1], "log": "yes"}, "log: expected true or false, got 'yes'"),
        ({"choices": []}, "choices: expected at least one value"),
        ({"choices": 3}, "choices: expected a list, got 3"),
        ({"choices": [1, 2, 1]}, "choices: expected different values, got 1 twice"),
        ({"choices": [1, 1.0]}, "choices: expected different values, got 1.0 and the equal 1"),
        (
            {"choices": [[1], [2]]},
            "choices: expected plain values (text, numbers, true, false, null), got [1]",
        ),
        ({"choices": [1, 2], "log": True}, "log: expected beside int or float only"),
    ],
)
def test_an_impossible_domain_says_why(value: object, message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_domain(value)
    assert message in str(error.value)


def test_a_field_takes_values_of_its_own_type_only() -> None:
    assert as_field(1, float) == 1.0
    assert type(as_field(1, float)) is float
    assert as_field(None, int | None) is None
    assert as_field("adaptive", int | str) == "adaptive"
    for value, hint, expected in [
        (4.0, int, "a whole number"),
        (True, int, "a whole number"),
        (True, float, "a number"),
        ("4", int, "a whole number"),
        (None, int, "a whole number"),
        (1, bool, "true or false"),
        (0.5, int | None, "a whole number or null"),
    ]:
        with pytest.raises(ValueError, match=f"expected {expected}, got "):
            as_field(value, hint)
