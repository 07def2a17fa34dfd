"""`COMMANDS`: every command of the suite, in the order in which a user meets them.

Each is a module that runs by itself, `python -m <module>`, and whose `parser()` knows its flags. Text only,
so that listing them is quick.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command: the module that is run, and what it does in a few words."""

    module: str
    purpose: str


COMMANDS: dict[str, Command] = {
    "search": Command("suite.search", "search hyper-parameters, train the best again, report"),
    "data": Command("suite.data", "list the data sets, prepare and verify them"),
    "models": Command("suite.models", "list the models of the registry"),
    "predict": Command("suite.predict", "predict new crystals with a trained model"),
    "export": Command("suite.export", "write a model as a folder, or files for a leaderboard"),
    "report": Command("reports", "build tables, figures and the page again from run folders"),
    "trace": Command("reports.trace", "show where an error of a table comes from, and recompute it"),
    "cluster": Command("suite.cluster", "write what starts a search on SLURM, Kubernetes or by SSH"),
}
