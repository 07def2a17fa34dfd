"""`python -m suite.data` and searches over data sets that are published, prepared or absent."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_set import ENERGIES, IDS, made_up_set, shuffled, write_energies, write_files
from rich.console import Console
from troubled_server import TroubledServer, running

from crystalformer.data.catalog import DATASETS
from crystalformer.sources.convert import prepare
from crystalformer.sources.published.files import place
from crystalformer.sources.records import DataError
from suite.data.__main__ import main
from suite.prepare import prepare_data
from suite.search import main as search
from suite.space.search_space import load_space

ROOT = Path(__file__).resolve().parents[2]
SPACE = {
    "name": "made-up-search",
    "data": {"dataset": "made-up", "target": ["energy", "log10_K"], "split": "official"},
    "budget": {"trials": 1, "epochs": 1},
    "models": {"cgcnn": {}},
}


@pytest.fixture(autouse=True)
def _made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "made-up", made_up_set())
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "brought")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(json.dumps(SPACE))
    return path


def run(root: Path, *arguments: str) -> int:
    return main([arguments[0], "--data", str(root), *arguments[1:]])


def test_the_list_fits_a_terminal_and_names_everything(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "list") == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    for name, dataset in DATASETS.items():
        assert name in printed
        assert all(target in printed for target in dataset.targets)


@pytest.mark.parametrize("name", [*DATASETS, "made-up"])
def test_the_page_of_a_data_set(root: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run(root, "info", name) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    dataset = DATASETS[name]
    assert dataset.license in printed
    assert all(f" {target} " in printed for target in dataset.targets)
    words = "".join(printed.split())
    for part in dataset.parts:
        for file in part.files:
            assert file.name in printed
            assert all(url[:20] in words for url in file.urls)
            assert (file.sha256 is None) or file.sha256[:12] in printed


def test_objects_for_programs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in listed] == list(DATASETS)
    assert run(root, "info", "mp-2018.6.1", "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert row == next(each for each in listed if each["name"] == "mp-2018.6.1")
    assert row["targets"]["band_gap"] == {
        "unit": "eV", "label": "Band gap (PBE)", "crystals": 69239, "published_mad": 1.35,
        "official_split": "60,000 / 5,000 / 4,239",
    }  # fmt: skip
    assert row["state"] == "not here"


def test_prepare_from_a_folder_then_verify(
    root: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "prepare", "made-up", "--from", str(folder)) == 0
    printed = capsys.readouterr().out
    assert "taken: made_up.json.zip" in printed
    assert "44 crystals, 88 atoms" in printed
    assert run(root, "verify", "made-up") == 0
    assert capsys.readouterr().out == "made-up: all that is here is as it should be\n"
    assert run(root, "info", "made-up", "--json") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "prepared"
    shutil.rmtree(root / "downloads")  # a store does without the files it was made from
    assert prepare("made-up", root).ids[-1] == "mu-4/bulk"


def test_verify_finds_what_is_damaged(root: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "verify", "made-up") == 2
    assert "expected files or a prepared store in" in capsys.readouterr().err
    run(root, "prepare", "made-up", "--from", str(folder))
    capsys.readouterr()
    files = place(root, DATASETS["made-up"])
    (files / "made_up.json.zip").write_bytes(write_energies(folder, {"mu-0": 0.0}).read_bytes())
    (files / "moduli_val.pkl").write_bytes(b"<html>")
    numbers = next(root.glob("made-up-*/numbers.npy"))
    numbers.write_bytes(numbers.read_bytes()[:-1])
    assert run(root, "verify", "made-up") == 1
    complaints = capsys.readouterr().err.splitlines()
    assert len(complaints) == 3
    assert "made_up.json.zip: expected SHA-256" in complaints[0]
    assert "moduli_val.pkl: expected the file, got a web page" in complaints[1]
    assert "numbers.npy: expected" in complaints[2]


def test_prepare_downloads(
    root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with running(TroubledServer((folder / "made_up.json.zip").read_bytes())) as server:
        monkeypatch.setitem(DATASETS, "made-up", made_up_set(server.url))
        assert run(root, "prepare", "made-up", "--target", "energy") == 0  # the moduli are not needed for it
        assert [path for path, _ in server.requests] == ["/ok/made_up.json.zip"]
    assert "downloading made_up.json.zip" in capsys.readouterr().out
    assert prepare("made-up", root, targets=["energy"]).ids == tuple(IDS)


def test_what_to_do_without_internet(
    root: Path, folder: Path, space: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "prepare", "made-up") == 1
    said = capsys.readouterr().err
    assert "made_up.json.zip could not be downloaded" in said
    assert "moduli_test.pkl from http://127.0.0.1:9/ok/moduli_test.pkl" in said
    assert f"then: python -m suite.data prepare made-up --data {root} --from FOLDER" in said
    assert search(["--space", str(space), "--data", str(root), "--runs", str(root / "runs")]) == 2
    said = capsys.readouterr().err
    assert f"{space}: data: made-up: made_up.json.zip could not be downloaded" in said
    assert f"python -m suite.data prepare made-up --data {root} --from FOLDER" in said
    assert "{dataset: {path: my.csv}" in said
    assert "search_spaces/quickstart.yaml" in said
    assert not (root / "runs").exists()


def test_a_dry_run_downloads_nothing_and_shows_what_is_expected(
    root: Path, folder: Path, space: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--space", str(space), "--data", str(root), "--dry-run"]
    assert search(command) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "made-up, 40 crystals (expected)" in printed
    assert "energy, split official: train 30, val 5, test 5 (expected)" in printed
    assert not root.exists()
    assert search([*command, "--set", "data.split={train: 0.5, val: 0.25, test: 0.25}"]) == 0
    assert "train 20, val 10, test 10 (expected)" in " ".join(capsys.readouterr().out.split())
    run(root, "prepare", "made-up", "--from", str(folder))
    capsys.readouterr()
    assert search(command) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "made-up, 44 crystals" in printed
    assert "train 30, val 5, test 5" in printed
    assert "expected" not in printed


def test_the_expected_counts_of_a_fold(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"dataset": "matbench-jdft2d", "target": "exfoliation_energy", "split": {"fold": 0}}
    (tmp_path / "fold.yaml").write_text(json.dumps(SPACE | {"data": data}))
    assert search(["--space", str(tmp_path / "fold.yaml"), "--data", str(root), "--dry-run"]) == 0
    assert "train 458, val 50, test 128 (expected)" in " ".join(capsys.readouterr().out.split())


def test_the_official_splits_of_a_search(root: Path, folder: Path, space: Path) -> None:
    run(root, "prepare", "made-up", "--from", str(folder))
    data = prepare_data(load_space(space), root)
    ids = shuffled()
    energy, moduli = data.splits["energy"], data.splits["log10_K"]
    assert (list(energy.train), list(energy.val), list(energy.test)) == (ids[:30], ids[30:35], ids[35:])
    assert moduli.train == ("mu-1/bulk", "mu-3/bulk")
    assert (moduli.val, moduli.test) == (("mu-2/bulk",), ("mu-4/bulk",))
    assert data.units == {"energy": "eV/atom", "log10_K": "log10(GPa)"}


def test_a_subset_of_an_official_split(root: Path, folder: Path, space: Path) -> None:
    """The seed of the split shuffled the official one, too; drawn by it, all would be training crystals."""
    run(root, "prepare", "made-up", "--from", str(folder))
    whole = prepare_data(load_space(space), root).splits["energy"]
    smaller = None
    for count in (20, 30, 40):
        drawn = prepare_data(load_space(space, [f"data.subset={count}", "data.target=energy"]), root)
        split = drawn.splits["energy"]
        assert sum(split.counts.values()) == count
        for label in ("train", "val", "test"):
            assert set(getattr(split, label)) <= set(getattr(whole, label))
            assert smaller is None or set(getattr(smaller, label)) <= set(getattr(split, label))
        smaller = split
    with pytest.raises(ValueError, match=r"data\.subset: split \(.*expected at least one crystal in"):
        prepare_data(load_space(space, ["data.subset=3", "data.target=energy"]), root)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (dict(list(ENERGIES.items())[:-1]), "expected 44 crystals, got 43: the file is not the published"),
        (dict(reversed(ENERGIES.items())), r"expected train ids from mu-\d+ to mu-\d+, got"),
        (
            {id_: 96.485 * value for id_, value in ENERGIES.items()},
            r"energy: expected nearly all values from -4 to 2 eV/atom, got \d+% outside.*in which unit",
        ),
        (
            {id_: value / 2 for id_, value in ENERGIES.items()},
            "expected a mean absolute deviation near the published 1 eV/atom, got 0.5",
        ),
        (dict.fromkeys(ENERGIES, "na"), "energy: expected values, got none"),
    ],
    ids=["count", "order", "unit", "spread", "no values"],
)
def test_other_data_than_published_are_refused(
    root: Path, folder: Path, capsys: pytest.CaptureFixture[str], values: dict, complaint: str
) -> None:
    write_energies(folder, values)
    assert run(root, "prepare", "made-up", "--from", str(folder)) == 2
    said = capsys.readouterr().err
    with pytest.raises(DataError, match=complaint):
        raise DataError(said)
    assert not list(root.glob("made-up-*"))


def test_ids_that_come_twice(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in JARVIS-DFT: both crystals are kept, and the split counts both."""
    from published_files import jarvis_atoms, write_zip

    twice = ["mu-0", "mu-1", "mu-0", *IDS[3:]]
    entries = [{"id": id_, "e_form": 0.05 * row, "atoms": jarvis_atoms(row)} for row, id_ in enumerate(twice)]
    write_zip(folder / "made_up.json.zip", entries)
    known = made_up_set()
    relaxed = replace(known.splits["energy"], ends={})
    target = replace(known.targets["energy"], mad=None)
    monkeypatch.setitem(
        DATASETS,
        "made-up",
        replace(
            known, splits={**known.splits, "energy": relaxed}, targets={**known.targets, "energy": target}
        ),
    )
    assert run(root, "prepare", "made-up", "--from", str(folder)) == 0
    store = prepare("made-up", root)
    assert store.ids[:3] == ("mu-0", "mu-1", "mu-0#2")
    assert store.targets["energy"][2] == 0.1


def test_unreadable_crystals_keep_their_place_in_the_split(
    root: Path, folder: Path, space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from published_files import jarvis_atoms, write_zip

    entries = [
        {"id": id_, "e_form": value, "atoms": jarvis_atoms(row)}
        for row, (id_, value) in enumerate(ENERGIES.items())
    ]
    entries[7]["atoms"]["lattice_mat"] = [[1, 0, 0]] * 3  # type: ignore[index]
    write_zip(folder / "made_up.json.zip", entries)
    assert run(root, "prepare", "made-up", "--from", str(folder)) == 2
    assert run(root, "prepare", "made-up", "--from", str(folder), "--max-rejected", "1") == 0
    split = prepare_data(load_space(space, ["data.max_rejected=1"]), root).splits["energy"]
    ids = (
        [id_ for id_ in shuffled()[:30] if id_ != "mu-7"],
        [id_ for id_ in shuffled()[30:35] if id_ != "mu-7"],
    )
    assert (list(split.train), list(split.val)) == ids
    assert run(root, "verify", "made-up") == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["prepare", "made-upp"], "did you mean made-up"),
        (["info", "mp-2018.6.2"], "did you mean mp-2018.6.1"),
        (["prepare", "made-up", "--target", "gap"], "--target: expected one of energy, log10_K, got 'gap'"),
        (["prepare", "mp-elastic-2015", "--from", "x"], "--from: expected a data set that is downloaded"),
        (
            ["prepare", "made-up", "--from", "no-such-file"],
            "expected a file to copy, got nothing of that name",
        ),
    ],
)
def test_wrong_input_is_one_message(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert run(root, *arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert complaint in said.err


def test_the_command_itself(tmp_path: Path) -> None:
    for arguments, code in (
        (["list"], 0),
        (["info", "oqmd"], 0),
        (["info", "nothing"], 2),
        ([], 2),
        (["lst"], 2),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "suite.data", *arguments], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
        assert bool(done.stdout) == (code == 0)


def test_a_bar_on_a_terminal() -> None:
    import io

    from suite.data.transfers import watching_transfers

    screen = io.StringIO()
    with watching_transfers(Console(file=screen, force_terminal=True, width=80)) as watcher:
        watcher.begins("made_up.json.zip", 0, 2_000_000)
        watcher.advanced("made_up.json.zip", 1_000_000)
        watcher.message("made_up.json.zip: answer 503; trying again")
        watcher.ended("made_up.json.zip")
    assert "1.0/2.0 MB" in screen.getvalue()
    assert "trying again" in screen.getvalue()
