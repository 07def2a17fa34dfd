"""Groups of equal entries, against a dictionary."""

import pytest
import torch

from baselines.features.distinct import distinct


@pytest.mark.parametrize("entries", [0, 1, 40])
def test_groups_are_those_of_a_dictionary(entries) -> None:
    torch.manual_seed(0)
    whole = torch.randint(0, 4, (entries,))
    real = torch.randint(0, 3, (entries,)) / 7
    result = distinct(whole, real)
    places: dict[tuple[int, float], list[int]] = {}
    for place, key in enumerate(zip(whole.tolist(), real.tolist(), strict=True)):
        places.setdefault(key, []).append(place)
    ordered = [places[key] for key in sorted(places)]
    assert all(first in group for first, group in zip(result.first.tolist(), ordered, strict=True))
    assert result.counts.tolist() == [len(group) for group in ordered]
    for number, group in enumerate(ordered):
        assert (result.of[group] == number).all()


def test_nearly_equal_is_not_equal() -> None:
    x = torch.tensor([1.0, 1.0 + 2**-23, 1.0])
    assert distinct(x).of.tolist() == [0, 1, 0]
