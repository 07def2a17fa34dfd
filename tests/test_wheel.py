"""The wheel: what is in it, that it works without the clone, and that it asks for what is used."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from crystal_files import CSCL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("baselines", "crystalformer", "reports", "suite")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDED_BY = {"greenlet": "optuna"}  # its Gaussian process sampler; optional there, imported by it alone
PART_OF = {"llvmlite": "numba", "pymatgen-core": "pymatgen", "urllib3": "requests"}  # and never without it


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in (*PACKAGES, "search_spaces"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(source)], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "search_spaces").glob("*.yaml")}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        assert (
            "crystalformer-suite = suite.__main__:main"
            in archive.read(metadata.replace("METADATA", "entry_points.txt")).decode()
        )
    assert found == expected
    for kind in (".npz", ".safetensors", ".j2", ".yaml", ".csv"):
        assert any(name.endswith(kind) for name in found), kind


def test_it_predicts_and_plans_a_search_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    here = tmp_path / "here"
    here.mkdir()
    (here / "my.cif").write_text(CSCL)

    def run(*arguments: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "COLUMNS": "100"}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=here,
            env=environment,
            capture_output=True,
            text=True,
            timeout=250,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("-c", "import suite; print(suite.__file__)").startswith(str(tmp_path / "site"))
    assert "my.cif  log10_K_VRH  " in run("-m", "suite.predict", "mp-moduli", "my.cif")
    space = (
        "from suite.space.search_space import load_space as f; print(f('search_spaces/quickstart.yaml').name)"
    )
    assert run("-c", space) == "quickstart\n"


def imported(folders: tuple[str, ...]) -> set[str]:
    """Top-level modules that the source files import, inside functions, too."""
    names: set[str] = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names


def distributions(modules: set[str]) -> set[str]:
    known = packages_distributions()
    return {canonicalize_name(name) for module in modules for name in known.get(module, ())}


def required(entries: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(entry).name) for entry in entries}


def test_it_asks_for_every_package_that_is_imported_and_for_no_other() -> None:
    needed = required(PROJECT["dependencies"])
    optional = {name for extra in PROJECT["optional-dependencies"].values() for name in required(extra)}
    used = distributions(imported(PACKAGES)) - {canonicalize_name(PROJECT["name"])}
    assert needed - used == set(NEEDED_BY)
    assert used - needed - optional == set(PART_OF)


def test_what_others_need_is_still_needed_by_them() -> None:
    for name, user in (NEEDED_BY | PART_OF).items():
        assert name in required(requires(user) or [])
