"""Wrong input: one clear message on standard error, exit code 2, and nothing written."""

import gzip
import json
import re
from pathlib import Path

import pytest
from suite_fixtures import small_space, write_small_table

from suite.search import main
from suite.space.search_space import load_space
from suite.space.yaml_file import read_space

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dry runs do not measure what their examples need, as on a machine that is much too busy."""
    monkeypatch.setattr("suite.estimates._answers", lambda tasks, threads: [None] * len(tasks))


def refused(folder: Path, capfd: pytest.CaptureFixture[str], *flags: str) -> str:
    """The message of a command line that must be refused."""
    space = folder / "space.yaml"
    if not space.exists():
        small_space(folder)
    arguments = [
        "--space",
        str(space),
        "--runs",
        str(folder / "runs"),
        "--data",
        str(folder / "data"),
        *flags,
    ]
    try:
        code = main(arguments)
    except SystemExit as exit_:  # argparse
        code = exit_.code  # type: ignore[assignment]
    captured = capfd.readouterr()
    assert code == 2, captured
    assert "Traceback" not in captured.err
    assert not (folder / "runs" / "small").exists()
    return captured.err


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["--set", "search.samplr=tpe"], ["samplr", "sampler"]),
        (["--set", "models.crystalformr={}"], ["crystalformr", "crystalformer"]),
        (["--set", "models.crystalformer.num_layers={int: [0, 4]}"], ["num_layers", "0"]),
        (["--set", "train.swa_epochs=9"], ["swa_epochs", "4 epochs", "9"]),
        (["--set", "data.dataset=mp-elastic-2016"], ["mp-elastic-2016", "mp-elastic-2015"]),
        (["--set", "data.target=log10_K_VHR"], ["log10_K_VHR", "log10_K_VRH"]),
        (["--trials", "one"], ["budget.trials", "one"]),
        (["--trials", "1"], ["2", "published configuration"]),
        (["--name", "../elsewhere"], ["name", "../elsewhere"]),
        (["--set", "search.scheduler=hyperbnd"], ["hyperbnd", "asha"]),
        (["--nonsense"], ["--nonsense"]),
    ],
)
def test_a_wrong_flag_or_value(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], flags: list[str], parts: list[str]
) -> None:
    message = refused(tmp_path, capfd, *flags)
    for part in parts:
        assert part in message, message
    assert len(message.strip().splitlines()) == 1


def test_a_missing_space_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    small_space(tmp_path)
    message = refused(tmp_path, capfd, "--space", str(tmp_path / "absent.yaml"))
    assert "absent.yaml" in message


@pytest.mark.usefixtures("unmeasured")
def test_a_target_that_some_crystals_lack(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = write_small_table(tmp_path / "small.jsonl")
    records = [json.loads(line) for line in table.read_text().splitlines()]
    for record in records[:3]:
        record["targets"] = {"other": 1.0}
    table.write_text("\n".join(map(json.dumps, records)))
    message = refused(tmp_path, capfd)
    assert "log10_K_VRH is missing for 3 of 40 crystals" in message
    assert "set data.max_rejected to 3" in message
    code = main(
        [
            "--space", str(tmp_path / "space.yaml"), "--data", str(tmp_path / "data"), "--dry-run",
            "--set", "data.max_rejected=3",
        ]
    )  # fmt: skip
    assert code == 0


def test_a_table_that_is_no_table(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    small_space(tmp_path)
    (tmp_path / "small.jsonl").write_text("{not json\n")
    message = refused(tmp_path, capfd)
    for part in ("small: expected at least one readable crystal", "line 1"):
        assert part in message


def test_a_folder_that_cannot_be_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    message = refused(tmp_path, capfd)
    assert "data" in message


def test_dry_run_shows_the_search_and_starts_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    space = small_space(tmp_path)
    arguments = ["--space", str(space), "--runs", str(tmp_path / "runs"), "--data", str(tmp_path / "data")]
    assert main([*arguments, "--dry-run"]) == 0
    shown = capfd.readouterr().out
    for part in ("40 crystals", "num_layers", "[1, adaptive]", "parameters", "6 trials"):
        assert part in shown, shown
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("unmeasured")
def test_some_models_of_a_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What was read of a model does not depend on its neighbours in the file."""
    path = ROOT / "search_spaces" / "quickstart.yaml"
    alone = load_space(path, only=["cgcnn"])
    assert dict(alone.models) == {"cgcnn": load_space(path).models["cgcnn"]}
    arguments = ["--space", str(path), "--data", str(tmp_path), "--dry-run", "--models"]
    assert main([*arguments, "cgcnn, crystalformer"]) == 0
    capfd.readouterr()
    assert main([*arguments, "cgcn"]) == 2
    said = capfd.readouterr().err
    assert "--models cgcn: no such model in" in said
    assert "closest: cgcnn" in said


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "search_spaces").glob("*.yaml")))
def test_the_shipped_spaces_are_right(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    space = ROOT / "search_spaces" / name
    arguments = ["--space", str(space), "--data", str(tmp_path), "--dry-run"]
    text, _ = read_space(space)  # with what it includes
    if beside := re.search(r"path: (\.\./shared/\S+)}", text):
        path = ROOT / beside[1]
        if not path.exists():
            pytest.skip(f"needs {path}")
        arguments += ["--set", f"data.dataset.path={every_hundredth(path, tmp_path / 'some.jsonl')}"]
        if "val_crystals" in text:
            arguments += ["--set", "data.val_crystals=20"]
    assert main([*arguments, "--set", "data.cell=as-given"]) == 0  # converting cells is not what is tested
    assert "crystals" in capfd.readouterr().out


def every_hundredth(lines: Path, out: Path) -> Path:
    """Of the crystals in a gzipped file of lines."""
    with gzip.open(lines, "rt") as file, out.open("w") as some:
        some.writelines(line for number, line in enumerate(file) if number % 100 == 0)
    return out


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("garbage", "expected auto, host:port or ray://host:port"),
        ("host:port", "expected auto, host:port or ray://host:port"),
        ("127.0.0.1:9", "expected a Ray cluster at 127.0.0.1:9"),
    ],
)
def test_an_address_without_a_cluster(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], address: str, said: str
) -> None:
    assert said in refused(tmp_path, capfd, "--address", address)


def test_folders_that_cannot_be_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "--runs" in refused(tmp_path, capfd, "--runs", str(tmp_path / "file"))
    assert "--data" in refused(tmp_path, capfd, "--data", str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("values", "said"), [([1.0] * 40, "target log10_K_VRH: "), ([1e200, -1e200] * 20, "target log10_K_VRH: ")]
)
def test_targets_that_cannot_be_scaled(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], values: list[float], said: str
) -> None:
    table = write_small_table(tmp_path / "small.jsonl")
    records = [json.loads(line) for line in table.read_text().splitlines()]
    for record, value in zip(records, values, strict=True):
        record["targets"] = {"log10_K_VRH": value}
    table.write_text("\n".join(map(json.dumps, records)))
    assert said in refused(tmp_path, capfd)


def test_a_labelled_crystal_without_the_target(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = write_small_table(tmp_path / "small.jsonl")
    records = [json.loads(line) for line in table.read_text().splitlines()]
    for number, record in enumerate(records):
        record["split"] = ("train", "train", "val", "test")[number % 4]
    records[3]["targets"] = {}
    records[4] |= {"targets": {}, "split": None}  # takes no part
    table.write_text("\n".join(map(json.dumps, records)))
    message = refused(tmp_path, capfd, "--set", "data.split=column")
    assert "log10_K_VRH is missing for 1 of 40 crystals" in message


def test_a_model_too_large_to_build_is_described(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    space = small_space(tmp_path, models={"cgcnn": {"node_width": 1000000}})
    assert main(["--space", str(space), "--data", str(tmp_path / "data"), "--dry-run"]) == 0
    assert "cgcnn" in capfd.readouterr().out
