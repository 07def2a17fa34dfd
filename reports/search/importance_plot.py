"""The importances of the hyper-parameters: bars in a panel per model, and the same as a table."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.search.importance import FEWEST_TRIALS, LEAST_TRIALS, Importances
from reports.search.panels import panels
from reports.search.searched import Branch
from reports.sections import Grid
from reports.theme import Theme

COLUMNS = 2
Found = Mapping[str, Sequence[Importances]]  # model -> its importances after every rung and at the end


def judged(found: Found) -> list[str]:
    """The models of which there is something to show."""
    return [model for model, each in found.items() if any(one.shares for one in each)]


def importance_plot(branches: Sequence[Branch], found: Found, theme: Theme) -> Figure:
    """A panel per model: a bar per hyper-parameter and time of judging."""
    shown = [branch for branch in branches if branch.model in judged(found)]
    columns = min(COLUMNS, len(shown))
    lines = [shown[start : start + columns] for start in range(0, len(shown), columns)]
    heights = [0.32 * max(len(branch.domains) for branch in line) for line in lines]
    longest = max(len(name) for branch in shown for name in branch.domains)
    room = 0.2 + 0.072 * longest  # of the names, in inches
    between = (room, 0.34)
    figure, drawn = panels(len(shown), columns, heights, left=room, between=between, sharex=True)
    for axes, branch in zip(drawn, shown, strict=True):
        _panel(axes, branch, found[branch.model], theme)
    for axes in drawn[-columns:]:
        axes.set_xlabel("importance")
    return figure


def _panel(axes: Axes, branch: Branch, found: Sequence[Importances], theme: Theme) -> None:
    judged_at = [each for each in found if each.shares]
    names, height = list(branch.domains), 0.8 / len(judged_at)
    colour = theme.colour(branch.model)
    for place, each in enumerate(judged_at):
        rows = np.arange(len(names)) - 0.4 + height * (place + 0.5)
        fade = 0.35 + 0.65 * (place + 1) / len(judged_at)
        axes.barh(
            rows, [each.shares[name] for name in names], 0.9 * height, edgecolor=colour, linewidth=0.8,
            facecolor="none" if each.unsteady else colour, alpha=fade, label=when(each),
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_title(branch.label)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right", fontsize=7.5, handlelength=1.2, labelspacing=0.25)


def when(each: Importances) -> str:
    """When the trials were judged, and how many."""
    at = "complete" if each.epoch is None else f"epoch {each.epoch}"
    return f"{at}, n = {each.n:,}"


CAPTION = (
    "Share of each hyper-parameter in what sets the best tenth of a model's trials apart from all of them "
    "(PED-ANOVA), judged by the errors after each rung, which all trials that came so far have, and among "
    f"the complete ones; n trials each. Open bars: fewer than {LEAST_TRIALS}, perhaps chance. What is judged "
    "early need not hold at the end."
)


def importance_alt(branches: Sequence[Branch], found: Found) -> str:
    """The two largest of each model in words."""
    parts = []
    for branch in branches:
        for each in found[branch.model]:
            if each.shares:
                largest = sorted(each.shares, key=lambda name: -each.shares[name])[:2]
                named = ", ".join(f"{name} {each.shares[name]:.2f}" for name in largest)
                parts.append(f"{branch.label}, {when(each)}: {named}")
    return f"Importances of the hyper-parameters; the largest: {'; '.join(parts)}."


def importance_table(branches: Sequence[Branch], found: Found) -> Grid:
    """All importances: a row per model and hyper-parameter, a column per time of judging."""
    times = list(dict.fromkeys(each.epoch for mine in found.values() for each in mine))
    header = ["Model", "Hyper-parameter"]
    for epoch in times:
        at = "complete trials" if epoch is None else f"after epoch {epoch}"
        header += [f"Importance, {at}", f"n, {at}"]
    rows = []
    for branch in branches:
        by_time = {each.epoch: each for each in found[branch.model]}
        for name in branch.domains:
            cells = []
            for epoch in times:
                shares = by_time[epoch].shares
                cells += [f"{shares[name]:.3f}" if shares else "", f"{by_time[epoch].n:,}"]
            rows.append((branch.label, name, *cells))
    caption = f"Importances of the hyper-parameters; none below {FEWEST_TRIALS} trials"
    numeric = (False, False, *[True] * (len(header) - 2))
    return Grid(caption, tuple(header), numeric, tuple(rows))
