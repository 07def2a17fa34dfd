"""The documentation site builds without a warning: links, anchors, snippets, docstrings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def build(config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*command, "--site-dir", str(out)], cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", out)
    assert done.returncode == 0, done.stderr
    return out


def test_the_reference_comes_from_the_docstrings(site: Path) -> None:
    page = (site / "reference" / "crystalformer.html").read_text()
    assert "crystalformer.model.crystalformer.Crystalformer" in page
    assert "Infinitely connected attention" in page or "infinitely connected attention" in page


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert 'src="http' not in text, page
        assert 'rel="stylesheet" href="http' not in text, page


def test_a_dead_link_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[gone](gone.md)\n")
    config = (ROOT / "mkdocs.yml").read_text().partition("nav:")
    rest = config[2].partition("validation:")
    plain = config[0].partition("plugins:")[0].replace("extra_css: [extra.css]\n", "")
    (tmp_path / "mkdocs.yml").write_text(plain + "validation:" + rest[2])
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert "gone.md" in done.stderr
