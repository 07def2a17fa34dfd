"""The pictures of single final runs that TensorBoard shows."""

from pathlib import Path

import pytest
from matplotlib.image import imread
from run_folders import RunFolderMaker

from reports.after_search import main
from reports.final_pictures import draw_finals


def test_every_final_run_has_its_own_and_floors_none(tmp_path: Path) -> None:
    maker = RunFolderMaker(seeds=(0, 1), errors={"cgcnn": 0.1}, floors={"mean": 0.3}, val=10, test=12)
    run = maker.write(tmp_path / "run")
    (run / "crystals.parquet").unlink()
    assert main([str(run)]) == 0
    drawn = sorted(path.parent.name for path in run.glob("final/*/parity.png"))
    assert drawn == [maker.run_id("log10_K_VRH", "cgcnn", seed) for seed in (0, 1)]
    assert not list(run.glob("final/*/elements.png"))  # the folder does not describe its crystals
    assert (run / "report" / "index.html").is_file()
    assert draw_finals(run) == []  # they are there
    first = run / "final" / drawn[0]
    (first / "parity.png").unlink()
    assert draw_finals(run) == [first / "parity.png"]


def test_elements_are_drawn_where_crystals_are_described(tmp_path: Path) -> None:
    maker = RunFolderMaker(seeds=(0,), errors={"cgcnn": 0.1}, val=10, test=12)
    run = maker.write(tmp_path / "run")
    parity, elements = draw_finals(run)
    assert (parity.name, elements.name) == ("parity.png", "elements.png")
    picture = imread(elements)
    assert picture[..., :3].std() > 0.05


def test_a_wrong_folder_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([str(tmp_path / "absent")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main([]) == 2
    assert "expected one run folder, got 0" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = RunFolderMaker(seeds=(0,), errors={"cgcnn": 0.1}, val=10, test=12).write(tmp_path / "run")
    picture = run / "final" / "cgcnn-mp-elastic-2015-log10_K_VRH-s0-0001" / "parity.png"
    picture.mkdir()
    assert main([str(run)]) == 1
    assert capsys.readouterr().err.startswith("reports.after_search: a picture could not be written: ")
