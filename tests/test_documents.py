"""What the documents say is there."""

import re
from pathlib import Path

import pytest

from crystalformer.data.catalog import DATASETS
from suite.command_page import page
from suite.data.listing import markdown
from suite.registry import MODELS
from suite.registry_table import registry_markdown

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "search_spaces").glob("*.md")]
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def between(document: str, command: str) -> str:
    """What stands in a document of docs/ between the mark of the command that wrote it and its end."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    return text.partition(f"<!-- {command} -->\n")[2].partition("\n<!-- end -->")[0]


def test_the_page_of_commands_is_that_of_the_parsers() -> None:
    """`python -m suite.command_page > docs/commands.md` writes it."""
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == page()


def test_the_table_of_models_is_that_of_the_registry() -> None:
    assert between("models.md", "python -m suite.models --markdown") == registry_markdown(MODELS)


def test_the_table_of_data_sets_is_that_of_the_catalogue() -> None:
    assert between("datasets.md", "python -m suite.data list --markdown") == markdown(DATASETS.values())


@pytest.mark.parametrize("command", re.findall(r"python -m ([a-z.]+)", (ROOT / "README.md").read_text()))
def test_the_commands_of_the_readme_exist(command: str) -> None:
    path = ROOT / command.replace(".", "/")
    assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()
