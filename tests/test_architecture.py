"""The rules of the house that a linter of single files cannot see."""

import ast
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from crystalformer.training.config import TrainConfig
from suite.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("crystalformer", "baselines", "suite", "reports")
SOURCES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def loaded_modules(statement: str) -> set[str]:
    """Modules present after a statement in a fresh interpreter."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("reports.__main__", {"torch", "ray", "pymatgen", "optuna"}),
        (
            "suite.trial, suite.final, suite.floors",
            {"ray", "optuna", "pymatgen", "sklearn", "scipy.optimize"},
        ),
        ("suite.registry, suite.prediction.locate", {"ray", "optuna", "pymatgen", "pandas", "sklearn"}),
        ("suite.search", {"ray", "torch", "optuna", "pymatgen", "pandas"}),
        ("suite, suite.predict", {"ray", "torch", "optuna", "pymatgen", "pandas", "numpy"}),
        ("suite.ray_driver.driver", {"pymatgen", "sklearn", "scipy.optimize", "scipy.stats"}),
        ("suite.space.search_space", {"ray", "torch", "pymatgen"}),
        ("crystalformer.data.array_store", {"torch", "pymatgen"}),
        ("crystalformer.sources.convert", {"torch", "pymatgen", "ase", "pyarrow"}),
        ("crystalformer.sources.worker", {"torch", "pymatgen", "ase", "rich"}),
    ],
)
def test_modules_bring_only_what_they_need(modules: str, absent: set[str]) -> None:
    assert not loaded_modules(f"import {modules}") & absent


def test_that_check_can_fail() -> None:
    assert "numpy" in loaded_modules("import crystalformer.data.crystal")


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name == "__init__.py"], ids=str)
def test_packages_import_nothing_by_themselves(path: Path) -> None:
    """What a function imports when it is called is its own affair; types cost nothing and make no cycle."""
    docstring, *statements = ast.parse(path.read_text()).body
    assert isinstance(docstring, ast.Expr)
    for statement in statements:
        for_types = isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"
        allowed = ast.unparse(statement) == "from typing import TYPE_CHECKING"
        assert for_types or allowed or isinstance(statement, ast.FunctionDef), ast.unparse(statement)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


def test_no_model_field_shadows_a_training_setting() -> None:
    training = {field.name for field in fields(TrainConfig)}
    for key, entry in MODELS.items():
        assert not training & {field.name for field in fields(entry.config)}, key


def test_the_registry_names_its_rows() -> None:
    for key, entry in MODELS.items():
        assert entry.key == key
        assert entry.label
        assert entry.paper
        assert entry.build(entry.config()) is not None
