"""What the documents say is there."""

import argparse
import re
from pathlib import Path

import pytest

from crystalformer.data.catalog import DATASETS
from reports.__main__ import parser as reports_parser
from reports.trace import parser as trace_parser
from suite.data.listing import markdown
from suite.export import parser as export_parser
from suite.models import MODELS, parameter_count
from suite.predict import parser as predict_parser
from suite.search import parser as search_parser

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "search_spaces").glob("*.md")]
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def flags(parser: argparse.ArgumentParser) -> set[str]:
    return {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")}


def test_the_readme_names_every_flag_and_no_other() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    named: dict[str, set[str]] = {"reports ": set(), "reports.trace ": set(), "suite.data ": set()}
    named |= {"suite.predict ": set(), "suite.export ": set(), "": set()}
    for line in lines:
        command = next(name for name in named if f"python -m {name}" in line or not name)
        named[command] |= set(re.findall(r"`?(--[a-z][a-z-]*)", line))
    assert named[""] - {"--logdir"} == flags(search_parser()) - {"--help"}
    assert named["suite.predict "] == flags(predict_parser()) - {"--help"}
    assert named["suite.export "] == flags(export_parser()) - {"--help"}
    assert named["reports "] == flags(reports_parser()) - {"--help"}
    assert named["reports.trace "] == flags(trace_parser()) - {"--help", "--seed"}


def test_the_readme_names_every_model_and_bundled_data_set() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for key, entry in MODELS.items():
        assert f"`{key}`" in text
        assert f"{parameter_count(entry.build(entry.config())):,}" in text
    for name, dataset in DATASETS.items():
        if dataset.bundle is not None:
            assert f"`{name}`" in text
            assert all(f"`{target}`" in text for target in dataset.targets)


def test_the_table_of_data_sets_is_that_of_the_catalogue() -> None:
    text = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    table = text.partition("<!-- python -m suite.data list --markdown -->\n")[2].partition("\n<!-- end -->")[
        0
    ]
    assert table == markdown(DATASETS.values())


@pytest.mark.parametrize("command", re.findall(r"python -m ([a-z.]+)", (ROOT / "README.md").read_text()))
def test_the_commands_of_the_readme_exist(command: str) -> None:
    path = ROOT / command.replace(".", "/")
    assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()
