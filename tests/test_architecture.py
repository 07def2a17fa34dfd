"""The rules of the house that a linter of single files cannot see."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import jaxtyping
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


SHAPED = ("baselines", *(f"crystalformer/{part}" for part in ("data", "layers", "model", "training")))
ARRAYS = {"Tensor", "ndarray", "ArrayLike"}
WITHOUT_SHAPES = {
    "crystalformer/data/crystal.py": "a crystal refuses wrong shapes with messages of its own",
    "crystalformer/model/kernels/cpu.py": "compiled; `reference` says what it computes",
    "crystalformer/model/kernels/cpu_frames.py": "compiled; `max_frames` says what it computes",
    "crystalformer/model/kernels/gpu.py": "compiled; `reference` says what it computes",
    "crystalformer/model/kernels/tables.py": "arrays of any kind, as addresses",
}


def without_shape(annotation: ast.AST) -> bool:
    """Whether it has an array whose shape it does not say; what a callable takes is its own affair."""
    match annotation:
        case ast.Subscript(value=ast.Name(id=kind)) if kind == "Callable" or hasattr(jaxtyping, kind):
            return False
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in ARRAYS:
            return True
    return any(map(without_shape, ast.iter_child_nodes(annotation)))


def annotations(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Those of public functions, methods and fields, and whose they are; not of what autograd calls."""
    for node in body:
        if isinstance(node, ast.AnnAssign):
            yield ast.unparse(node.target), node.annotation
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            if "torch.autograd.Function" not in map(ast.unparse, node.bases):
                yield from ((f"{node.name}.{name}", hint) for name, hint in annotations(node.body))
        elif isinstance(node, ast.FunctionDef) and (node.name[0] != "_" or node.name.endswith("__")):
            hints = [each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg)]
            yield from ((node.name, hint) for hint in [*hints, node.returns] if hint)


@pytest.mark.parametrize("folder", SHAPED)
def test_public_arrays_have_shapes_that_are_executed(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        file, source = path.relative_to(ROOT), path.read_text()
        missing = {name for name, hint in annotations(ast.parse(source).body) if without_shape(hint)}
        assert bool(missing) == (str(file) in WITHOUT_SHAPES), f"{file}: {missing}"
        if "from jaxtyping" in source or "import jaxtyping" in source:
            spec = find_spec(".".join(file.with_suffix("").parts))
            assert spec is not None, file
            assert "jaxtyping" in type(spec.loader).__module__, file


def test_arrays_without_shapes_are_found() -> None:
    functions = ["f(x: Tensor | None): ...", "f() -> tuple[Float[Tensor, 'a'], np.ndarray]: ..."]
    functions += ["f(x: Float[Tensor, 'a'], g: Callable[[Tensor], Tensor]) -> int: ..."]
    hints = [[hint for _, hint in annotations(ast.parse(f"def {each}").body)] for each in functions]
    assert [any(map(without_shape, each)) for each in hints] == [True, True, False]


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
