"""The effect of each change: paired differences over the seeds, with interval and corrected p."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from reports.ablation.noise import Noise, noise
from reports.ablation.study import Scalar, Study
from reports.comparison import ALPHA, holm

WEIGHTS = "weights"  # the factor of the row that compares two sets of weights of the same runs
LAST_STEP = "last step"
AVERAGED = "average"


@dataclass(frozen=True)
class Effect:
    """One change of one factor against the reference, over the seeds that both have.

    Attributes:
        factor, value, reference: what was changed, to what, from what.
        position: of the value, from 1 on, among the factor's other values.
        differences: seed -> validation MAE with the change minus that without, in the target's unit; in a
            factorial design the mean over the combinations of the other factors.
        planned: number of seeds that were asked for.
        baseline: mean validation MAE without the change, over the same pairs; NaN without a pair.
        mean: of the differences; low, high: its 95 % interval of Student's t, with the `noise` of the whole
            study; NaN below two seeds.
        p: two-sided, that the mean is 0, Holm-corrected over the changes of the study; NaN as above.
    """

    factor: str
    value: Scalar
    reference: Scalar
    position: int
    differences: dict[int, float]
    planned: int
    baseline: float
    mean: float
    low: float
    high: float
    p: float

    @property
    def n(self) -> int:
        """The number of seeds with a pair."""
        return len(self.differences)

    @property
    def tested(self) -> bool:
        """Whether there are the two seeds that a test needs."""
        return self.n > 1

    @property
    def moved(self) -> bool:
        """Whether the difference is supported at level `ALPHA` after the correction."""
        return self.tested and self.p < ALPHA

    @property
    def percent(self) -> float:
        """The mean difference in per cent of the error without the change."""
        return 100 * self.mean / self.baseline if self.baseline > 0 else float("nan")


def effects(study: Study) -> list[Effect]:
    """The effects of all changes in the order of the space, then that of averaging the weights.

    Corrected over all of them together (Holm, Scand. J. Stat. 6, 65, 1979); those without a test are in no
    family.
    """
    found = [*_of_factors(study), *_of_weights(study)]
    corrected = iter(holm([effect.p for effect in found if effect.tested]))
    return [replace(effect, p=next(corrected)) if effect.tested else effect for effect in found]


def noise_of(study: Study) -> Noise:
    """The noise of one run's validation MAE, from all complete runs."""
    factors = list(study.levels)
    return noise(study.complete.set_index(["seed", *factors])["val_mae"], factors, ["seed"])


def reference_errors(study: Study) -> pd.Series:
    """Seed -> validation MAE of the complete trials of the reference configuration."""
    complete = study.complete
    for factor in study.levels:
        complete = complete[complete[factor] == 0]
    return complete.set_index("seed")["val_mae"]


def errors_by_value(study: Study, factor: str) -> pd.DataFrame:
    """Seeds x positions of a factor's values (0: the reference): validation MAE of complete trials, in a
    factorial design the mean over the combinations of the other factors.

    The factor `WEIGHTS` has the kept weights at 0 and the last step's at 1.
    """
    if factor == WEIGHTS:
        return (
            _compared(study, _both_weights(study))
            .groupby(level="seed")
            .mean()
            .set_axis([0, 1], axis="columns")
        )
    rows = study.complete
    if not study.factorial:
        rows = rows[(rows[[name for name in study.levels if name != factor]] == 0).all(axis=1)]
    return rows.pivot_table(index="seed", columns=factor, values="val_mae", aggfunc="mean")


def _of_factors(study: Study) -> Iterator[Effect]:
    """A pair differs in one factor alone: the same seed, the same values of all others. In a one-at-a-time
    design only the reference has such partners.
    """
    spread = noise_of(study)
    for factor, levels in study.levels.items():
        others = [name for name in study.levels if name != factor]
        table = study.complete.pivot(index=["seed", *others], columns=factor, values="val_mae")
        for position, value in enumerate(levels, start=1):
            pairs = table.reindex(columns=[0, position]).dropna()
            yield _effect(study, factor, value, study.reference[factor], position, pairs, spread, runs=2)


def _of_weights(study: Study) -> Iterator[Effect]:
    """The difference of a run's two errors has a noise of its own, from all runs that averaged."""
    averaged = _both_weights(study)
    runs = _compared(study, averaged)
    if len(runs):
        spread = noise(averaged["val_mae_raw"] - averaged["val_mae"], list(study.levels))
        yield _effect(study, WEIGHTS, LAST_STEP, AVERAGED, 1, runs, spread, runs=1)


def _both_weights(study: Study) -> pd.DataFrame:
    """Columns val_mae and val_mae_raw of the runs that averaged their weights, by seed and configuration.

    Both errors come from one run, so that nothing but the weights differs. A configuration whose two
    errors are the same number in every run averaged nothing.
    """
    runs = study.complete.dropna(subset=["val_mae_raw"])
    factors = list(study.levels)
    differs = runs["val_mae_raw"] != runs["val_mae"]
    averaged = differs.groupby([runs[name] for name in factors]).transform("any")
    return runs[averaged].set_index(["seed", *factors])[["val_mae", "val_mae_raw"]]


def _compared(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """Those of `_both_weights` that the effect is of: one-at-a-time the reference's, as all other effects."""
    if study.factorial:
        return runs
    return runs[(runs.index.droplevel("seed").to_frame(index=False) == 0).all(axis=1).to_numpy()]


def _effect(
    study: Study,
    factor: str,
    value: Scalar,
    reference: Scalar,
    position: int,
    pairs: pd.DataFrame,
    spread: Noise,
    runs: int,
) -> Effect:
    """Of pairs by seed, in two columns: without the change and with it; p is not corrected here.

    The difference of a pair has `runs` times the variance of `spread`.
    """
    without, changed = pairs.iloc[:, 0], pairs.iloc[:, 1]
    per_seed = (changed - without).groupby(level="seed").mean()
    mean = float(per_seed.mean())
    low = high = p = float("nan")
    if len(per_seed) > 1:
        counts = without.groupby(level="seed").size()
        low, high, p = spread.test(mean, runs * float((1 / counts).sum()) / len(counts) ** 2)
    return Effect(
        factor=factor,
        value=value,
        reference=reference,
        position=position,
        differences={int(seed): float(each) for seed, each in per_seed.items()},
        planned=len(study.seeds),
        baseline=float(without.groupby(level="seed").mean().mean()),
        mean=mean,
        low=low,
        high=high,
        p=p,
    )
