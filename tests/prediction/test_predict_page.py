"""docs/predict.md does what it says: its commands and its code run."""

import importlib
import json
import re
import shlex
from pathlib import Path

import pytest
from crystal_files import CSCL, LINE, POSCAR

from suite.commands import COMMANDS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "predict.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S) for line in block.splitlines()]


def test_its_commands_and_its_code_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "quickstart").symlink_to(run)
    (tmp_path / "data").symlink_to(run.parents[1] / "data")
    (tmp_path / "my.cif").write_text(CSCL)
    (tmp_path / "POSCAR").write_text(POSCAR)
    (tmp_path / "crystals.jsonl").write_text(json.dumps(LINE) + "\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "other.cif").write_text(CSCL)
    assert len(LINES) >= 8
    for line in LINES:
        python, flag, module, *arguments = shlex.split(line)
        assert (python, flag) == ("python", "-m")
        assert importlib.import_module(module).main(arguments) == 0, line
    said = capsys.readouterr().out
    assert "log10_G_VRH" in said
    assert "out.csv: 4 crystals, 0 without prediction" in said
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(code, "predict.md", "exec"), {})
    assert capsys.readouterr().out.startswith("log10_K_VRH ")


def test_it_names_the_commands_as_they_are_listed() -> None:
    named = set(re.findall(r"python -m ([a-z.]+)", PAGE)) - {"benchmarks.predict"}
    assert named <= {command.module for command in COMMANDS.values()}
