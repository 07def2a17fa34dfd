"""`COMMANDS`: every command of the suite, in the order in which a user meets them.

Each is a module that runs by itself, `python -m <module>`, and whose `parser()` knows its flags. Text only,
so that listing them is quick.
"""

import argparse
import importlib
import importlib.util
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


def parser_of(module: str) -> argparse.ArgumentParser:
    """The parser of what `python -m <module>` runs; that of a package is its `__main__`.

    It is imported by name, since some commands lie above this package, which imports none of them.
    """
    found = importlib.util.find_spec(module)
    assert found is not None, module
    name = f"{module}.__main__" if found.submodule_search_locations else module
    return importlib.import_module(name).parser()
