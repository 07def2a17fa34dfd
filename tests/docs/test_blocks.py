"""What covers each code block of the documents; none is left out.

| block | covered by |
|---|---|
| commands | `test_commands_in_documents`: they fit their parsers; the pages of `FOLLOWED` run them, too |
| Python | run here, or with its page |
| YAML | read as a search space here, or with its page |
| text | formulas and listings: no command is hidden among them |
"""

from pathlib import Path

import pytest
from documents import DOCUMENTS, PROGRAMS, ROOT, Block, code_blocks, commands

from suite.space.search_space import load_space

# A page -> the tests that run all its Python and its YAML, and its commands where they are a story.
FOLLOWED = {
    "docs/adding_a_model.md": "tests/models/test_adding_a_model.py",
    "docs/data.md": "tests/docs/test_own_data.py",
    "docs/predict.md": "tests/prediction/test_predict_page.py",
    "docs/tutorial.md": "tests/docs/test_tutorial.py",
}
NOT_OURS = {  # commands of other programs, beside ours: by their first word
    "source .venv/bin/activate", "sbatch search.sh", "kubectl apply -f job.yaml",
    "cat runs/my/report/mae_table.md",
}  # fmt: skip
REST = "\nname: x\ndata: {dataset: mp-elastic-2015, target: log10_K_VRH}\nbudget: {epochs: 8}\n"
BLOCKS = [block for document in DOCUMENTS for block in code_blocks(document)]


def page(block: Block) -> str:
    return str(block.document.relative_to(ROOT))


def blocks(*languages: str) -> list:
    found = [block for block in BLOCKS if block.language in languages and page(block) not in FOLLOWED]
    return [pytest.param(block, id=block.name) for block in found]


@pytest.mark.parametrize(("document", "tests"), FOLLOWED.items())
def test_a_page_is_followed_by_its_tests(document: str, tests: str) -> None:
    text = (ROOT / tests).read_text(encoding="utf-8")
    assert document in text.partition('"""\n')[0]


@pytest.mark.parametrize("block", blocks("python"))
def test_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block.text, block.name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("block", blocks("yaml"))
def test_yaml_is_a_search_space_or_a_part_of_one(block: Block, tmp_path: Path) -> None:
    text = block.text if "name:" in block.text else block.text + REST + "search: {sampler: ablate}\n"
    (tmp_path / "space.yaml").write_text(text)
    assert load_space(tmp_path / "space.yaml").models


@pytest.mark.parametrize("block", blocks("", "sh", "bash", "console"))
def test_lines_of_a_shell_are_commands_that_are_checked(block: Block) -> None:
    lines = [line.partition("  #")[0].strip() for line in block.text.replace("\\\n", " ").splitlines()]
    lines = [line for line in lines if line]
    if block.language or PROGRAMS.match(lines[0]):
        known = set(commands(block)) | NOT_OURS
        assert not [line for line in lines if " ".join(line.split()) not in known]
    else:
        assert not [line for line in lines if line.startswith(("python -m ", "pip install", "$ "))]


def test_every_block_is_of_a_kind_that_is_covered() -> None:
    kinds = {block.language for block in BLOCKS if page(block) not in FOLLOWED}
    assert kinds <= {"", "sh", "bash", "console", "python", "yaml"}
    assert len(BLOCKS) > 40
