"""The error against the number of training crystals, and runs that do not belong together."""

import csv
import math
from pathlib import Path

import pytest
from PIL import Image
from run_folders import RunFolderMaker

from reports.__main__ import main
from reports.data_size.curve import size_curves
from reports.data_size.plot import errors_by_size
from reports.data_size.tables import printed_curve, sentences
from reports.readme import BEGIN, END
from reports.run_folder import ReportError, read_run_folder
from reports.tables import main as tables
from reports.theme import THEMES

SMALL = {"val": 8, "test": 30, "seeds": (0, 1)}


def runs(folder: Path, **errors: dict[int, float]) -> list[Path]:
    """A run per model and number of training crystals; the predictions have roughly these errors."""
    made = []
    for model, by_size in errors.items():
        for size, error in by_size.items():
            name = f"{model}-{size}"
            maker = RunFolderMaker(
                errors={model: error}, name=name, train=size, split_hash=f"{size:064x}", **SMALL
            )
            made.append(maker.write(folder / name))
    return made


def test_points_and_slope_are_those_of_the_runs(tmp_path: Path) -> None:
    made = runs(tmp_path, cgcnn={100: 0.4, 400: 0.2}, schnet={100: 0.3, 400: 0.27})
    (curve,) = size_curves([read_run_folder(path) for path in made])
    assert curve.sizes == [100, 400]
    assert curve.labels == ["CGCNN", "SchNet"]  # by their error with the most crystals
    for label in curve.labels:
        first, last = (float(error) for error in curve.of(label)["mae"])
        assert curve.per_doubling(label) == pytest.approx(math.sqrt(last / first))  # 4 times are 2 doublings
    assert "with 400" in sentences(curve)[0]
    assert sentences(curve)[0].startswith("CGCNN: from ")


def test_page_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = runs(tmp_path, cgcnn={100: 0.4, 200: 0.3, 400: 0.2}, schnet={400: 0.25})
    assert main([*map(str, made), "--data-size", "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "index.html").read_text()
    assert "per doubling" in text
    assert "not run" in text  # SchNet with fewer crystals
    rows = list(csv.DictReader((tmp_path / "out" / "data_size.csv").open()))
    assert [(row["label"], row["train_crystals"]) for row in rows] == [
        ("CGCNN", "100"), ("CGCNN", "200"), ("CGCNN", "400"), ("SchNet", "400"),
    ]  # fmt: skip
    assert len(list((tmp_path / "out" / "figures").iterdir())) == 2  # light and dark
    capsys.readouterr()


def test_a_floor_far_above_all_models_does_not_flatten_their_lines(tmp_path: Path) -> None:
    made = []
    for size in (100, 400):
        maker = RunFolderMaker(
            errors={"cgcnn": 0.02}, floors={"mean": 0.4, "forest": 0.04}, name=str(size), train=size, **SMALL
        )
        made.append(maker.write(tmp_path / str(size)))
    (curve,) = size_curves([read_run_folder(path) for path in made])
    assert curve.labels == ["CGCNN", "Random forest (floor)", "Training mean (floor)"]
    (axes,) = errors_by_size(curve, THEMES[0]).axes
    assert axes.get_legend_handles_labels()[1] == ["CGCNN", "Random forest (floor)"]


def test_runs_that_do_not_belong_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = runs(tmp_path, cgcnn={100: 0.4, 400: 0.2})
    other = RunFolderMaker(name="other", test_hash="00" * 32, train=50, **SMALL).write(tmp_path / "other")
    out = ["--data-size", "--out", str(tmp_path / "out")]
    assert main([*map(str, made), str(other), *out]) == 2
    assert "other: expected a finished search of the same target and test crystals" in capsys.readouterr().err
    twin = RunFolderMaker(
        errors={"cgcnn": 0.3}, name="twin", train=400, split_hash=f"{400:064x}", **SMALL
    ).write(tmp_path / "twin")
    assert main([*map(str, made), str(twin), *out]) == 2
    assert "expected one error of CGCNN with 400 training crystals and 6 epochs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_shorter_training_is_another_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = runs(tmp_path, cgcnn={100: 0.4, 400: 0.2}, schnet={100: 0.5})
    for size, epochs in ((100, 3), (400, 1)):
        maker = RunFolderMaker(
            errors={"cgcnn": 0.9},
            name=f"less-{size}",
            train=size,
            split_hash=f"{size:063x}e",  # validated on other crystals
            epochs=epochs,
            **SMALL,
        )
        made.append(maker.write(tmp_path / f"less-{size}"))
    (curve,) = size_curves([read_run_folder(path) for path in made])
    assert curve.labels == ["CGCNN", "CGCNN, trained less", "SchNet"]
    assert [curve.seen(label) for label in curve.labels] == [(600, 2400), (300, 400), (600, 600)]
    assert (curve.of("CGCNN, trained less")["mae"] > 0.5).all()
    seen = {row.label: row.cells[0].text for row in printed_curve(curve).rows}
    assert seen == {"CGCNN": "600 to 2,400", "CGCNN, trained less": "300 to 400", "SchNet": "600"}


def test_other_settings_are_another_curve(tmp_path: Path) -> None:
    made = []
    for size, errors, settings in (
        (100, 0.4, {"layers": 2}),
        (200, 0.3, {"layers": 2}),
        (400, 0.2, {"layers": 2}),
        (100, 0.9, {"layers": 3}),
        (200, 0.8, {"layers": 3}),
        (400, 0.7, {"layers": 5}),
    ):
        maker = RunFolderMaker(
            errors={"cgcnn": errors},
            name=f"{size}-{settings['layers']}",
            train=size,
            split_hash=f"{size:064x}",
            settings=settings,
            **SMALL,
        )
        made.insert(0, maker.write(tmp_path / f"{size}-{settings['layers']}"))
    (curve,) = size_curves([read_run_folder(path) for path in made])
    assert curve.labels == ["CGCNN", "CGCNN, layers 5", "CGCNN, layers 3"]
    assert list(curve.of("CGCNN")["experiment"]) == ["100-2", "200-2", "400-2"]  # what most have
    assert list(curve.of("CGCNN, layers 3")["train_crystals"]) == [100, 200]


def test_a_setting_that_one_run_does_not_record_tells_nothing_apart(tmp_path: Path) -> None:
    made = runs(tmp_path, cgcnn={100: 0.4, 400: 0.2})
    maker = RunFolderMaker(
        errors={"cgcnn": 0.3}, name="later", train=400, split_hash=f"{400:064x}", settings={"new": 0}, **SMALL
    )
    made.append(maker.write(tmp_path / "later"))
    with pytest.raises(ReportError, match="expected one error of CGCNN with 400 training crystals"):
        size_curves([read_run_folder(path) for path in made])


def test_settings_that_a_search_chose_for_each_size_are_one_curve(tmp_path: Path) -> None:
    made = []
    for size, layers in ((100, 3), (400, 5)):
        maker = RunFolderMaker(
            errors={"cgcnn": 0.3}, name=str(size), train=size, settings={"layers": layers}, **SMALL
        )
        made.append(maker.write(tmp_path / str(size)))
    (curve,) = size_curves([read_run_folder(path) for path in made])
    assert curve.labels == ["CGCNN"]


def test_the_readme_has_a_table_of_sizes_and_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs(tmp_path / "results", cgcnn={100: 0.4, 400: 0.2})
    (tmp_path / "README.md").write_text(f"{BEGIN}\n{END}\n")
    monkeypatch.chdir(tmp_path)
    assert tables([]) == 0
    text = (tmp_path / "README.md").read_text()
    assert "trained on 100" in text
    assert text.count("python -m suite.search") == 2
    name = "results/size-mp-elastic-2015-log10_K_VRH.png"
    assert f"]({name})" in text
    assert tables(["--check"]) == 0
    picture = Image.open(name).convert("RGB")
    picture.putpixel((5, 5), (120, 120, 120))  # as another version may draw an edge
    picture.save(name)
    assert tables(["--check"]) == 0
    picture.paste((0, 0, 0), (100, 100, 120, 300))
    picture.save(name)
    assert tables(["--check"]) == 1
    assert f"{name}: another picture" in capsys.readouterr().err
    picture.resize((50, 40)).save(name)
    assert tables(["--check"]) == 1
    picture.save("results/size-of-before.png")
    assert tables([]) == 0
    assert tables(["--check"]) == 1
    assert "results/size-of-before.png: made by nothing" in capsys.readouterr().err
