r"""Floors: what a prediction is worth that needs no structure, and that a model of crystals should beat.

- The training mean: the same value for every crystal.
- A random forest (L. Breiman, Machine Learning 45, 5 (2001), as in scikit-learn) of the composition alone.

The features of a composition follow L. Ward et al., npj Comput. Mater. 2, 16028 (2016): the fraction of each
element, and mean, standard deviation, minimum and maximum over the atoms of tabulated properties, here the
atomic number and the nine properties of CGCNN's atom table (in its bins; -1 where it has no value). They say
nothing of the order, the positions or the number of formula units in the cell.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Integer

from baselines.features.atom_table import BLOCKS, LAST_ELEMENT, atom_table
from baselines.graphs.config_checks import check_whole_numbers

ELEMENTS = 118
UNKNOWN = -1.0  # below every bin


@dataclass(frozen=True)
class ForestConfig:
    """Settings of the random forest.

    Raises:
        ValueError: a value is outside its range; the message names field, range and value.
    """

    trees: int = 100
    max_features: float = 1 / 3  # part of the features that a split chooses from

    def __post_init__(self) -> None:
        check_whole_numbers(self, trees=1)
        if not 0 < self.max_features <= 1:
            raise ValueError(f"max_features: expected a part in (0, 1], got {self.max_features!r}")


@cache
def _properties() -> np.ndarray:
    """Tabulated properties, shape (119, 10); row Z, column 0 is Z itself."""
    one_hot = atom_table().numpy()
    columns = [np.arange(ELEMENTS + 1, dtype=np.float64)]
    for block in np.split(one_hot, np.cumsum(list(BLOCKS.values()))[:-1], axis=1):
        column = np.full(ELEMENTS + 1, UNKNOWN)
        known = np.flatnonzero(block.any(axis=1))
        column[known] = block[known].argmax(axis=1)
        columns.append(column)
    assert len(one_hot) == LAST_ELEMENT + 1
    return np.stack(columns, axis=1)


def composition_features(
    numbers: Integer[np.ndarray, " atoms"], offsets: Integer[np.ndarray, " ends"]
) -> Float32[np.ndarray, "ends-1 158"]:
    """Features of the compositions: 118 fractions, and 4 numbers for each of 10 properties.

    Args:
        numbers: atomic numbers Z of all atoms, from 1 to 118.
        offsets: one more than crystals; the atoms of crystal c are rows offsets[c] to offsets[c + 1] - 1.

    Raises:
        ValueError: a number is no element, or a crystal has no atoms.
    """
    sizes = np.diff(offsets)
    if len(sizes) and sizes.min() < 1:
        raise ValueError(f"offsets: expected at least one atom in every crystal, got {sizes.min()}")
    if len(numbers) and not (numbers.min() >= 1 and numbers.max() <= ELEMENTS):
        raise ValueError(f"numbers: expected Z from 1 to {ELEMENTS}, got {numbers.min()} to {numbers.max()}")
    crystal_of_atom = np.repeat(np.arange(len(sizes)), sizes)
    counts = np.bincount(crystal_of_atom * (ELEMENTS + 1) + numbers, minlength=len(sizes) * (ELEMENTS + 1))
    fractions = counts.reshape(len(sizes), ELEMENTS + 1) / sizes[:, None]
    table = _properties()
    mean = fractions @ table
    variance = fractions @ table**2 - mean**2
    values = table[numbers]
    features = (
        fractions[:, 1:],
        mean,
        np.sqrt(np.maximum(variance, 0)),
        np.minimum.reduceat(values, offsets[:-1], axis=0),
        np.maximum.reduceat(values, offsets[:-1], axis=0),
    )
    return np.concatenate(features, axis=1).astype(np.float32)


def fit_forest(
    features: Float[np.ndarray, "crystals features"],
    values: Float[np.ndarray, " crystals"],
    seed: int,
    config: ForestConfig,
    jobs: int = 1,
) -> Any:
    """A forest fitted to `values`; the same for every number of `jobs`."""
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(
        config.trees, max_features=config.max_features, random_state=seed, n_jobs=jobs
    )
    return forest.fit(features, values)


def predict_forest(
    forest: Any, features: Float[np.ndarray, "crystals features"]
) -> Float[np.ndarray, " crystals"]:
    """Predictions; by one job, since several would add up the trees in any order."""
    return forest.set_params(n_jobs=1).predict(features)
