"""What is committed of a run, that it is refused where it should be, and that a changed table fails."""

import json
from pathlib import Path
from shutil import copytree

import pandas as pd
import pytest
from ablation_folders import write_ablation
from final_folders import edit_json, final_folders
from run_folders import RunFolderMaker

from reports.anonymous import anonymous, repeatable
from reports.publish import MOST_WEIGHTS, main
from reports.readme import BEGIN, END, NONE
from reports.tables import main as tables
from reports.tables import run_folders
from reports.trace import main as trace

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"val": 8, "test": 12, "seeds": (0, 1)}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a README whose marks are empty, which is where commands run."""
    (tmp_path / "README.md").write_text(f"# Title\n\n{BEGIN}\n{END}\n\nMore.\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published run with weights beside it, and its README, to be copied."""
    folder = tmp_path_factory.mktemp("published")
    run = RunFolderMaker(floors={"mean": 0.9}, **SMALL).write(folder / "run")
    for final in final_folders(run, "cgcnn"):
        (final / "model.safetensors").write_bytes(b"weights")
    assert main([str(run), "--out", str(folder / "results" / "moduli"), "--weights", "cgcnn"]) == 0
    (folder / "README.md").write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nMore.\n")
    return folder


@pytest.mark.long  # it recomputes every committed run
@pytest.mark.timeout(900)
def test_committed_tables_are_those_of_the_committed_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository's own results, if there are any, and the summary in its README."""
    monkeypatch.chdir(ROOT)
    assert tables(["--check"]) == 0
    for run in run_folders(Path("results")):
        assert trace([str(run), "--all"]) == 0


def test_what_is_published(published: Path) -> None:
    out = published / "results" / "moduli"
    assert {path.name for path in out.iterdir()} == {
        "search.json", "space.yaml", "trials.parquet", "crystals.parquet", "final", "report",
    }  # fmt: skip
    assert {path.name for path in (out / "report").iterdir()} == {
        "mae_table.csv", "mae_table.md", "mae_table.tex", "errors_by_group.csv", "worst_crystals.csv",
    }  # fmt: skip
    for run in (published / "run" / "final").iterdir():
        copy = out / "final" / run.name
        assert (copy / "predictions.parquet").read_bytes() == (run / "predictions.parquet").read_bytes()
        assert (copy / "model.safetensors").exists() == run.name.startswith("cgcnn")
    assert trace([str(out), "--all"]) == 0


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("mae_table.csv", lambda text: text.replace("0.", "0.1", 1)),
        ("mae_table.md", lambda text: text.replace("Errors over", "Errors of", 1)),
        ("errors_by_group.csv", lambda text: "".join(text.splitlines(keepends=True)[:-1])),
        ("worst_crystals.csv", None),
        ("left_over.csv", lambda text: "x\n"),
    ],
)  # fmt: skip
def test_a_difference_fails_and_rebuilding_mends_it(  # type: ignore[no-untyped-def]
    published: Path, place: Path, capsys: pytest.CaptureFixture[str], name: str, change
) -> None:
    copytree(published / "results", place / "results")
    assert tables([]) == 0
    assert tables(["--check"]) == 0
    path = place / "results" / "moduli" / "report" / name
    before = path.read_text() if path.exists() else ""
    if change is None:
        path.unlink()
    else:
        path.write_text(change(before))
    capsys.readouterr()
    assert tables(["--check"]) == 1
    assert name in capsys.readouterr().err
    if before:
        assert tables([]) == 0
        assert path.read_text() == before
        assert tables(["--check"]) == 0


def test_rounding_in_a_sum_is_no_difference_and_more_is(published: Path, place: Path) -> None:
    copytree(published / "results", place / "results")
    assert tables([]) == 0
    path = place / "results" / "moduli" / "report" / "mae_table.csv"
    for change, code in ((1 + 1e-12, 0), (1 + 1e-6, 1)):
        table = pd.read_csv(path)
        table.loc[0, "mae"] *= change
        table.to_csv(path, index=False)
        assert tables(["--check"]) == code


def test_rebuilding_leaves_rounding_in_a_sum_alone(
    published: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine that sums in another order rewrites no committed file."""
    copytree(published / "results", place / "results")
    assert tables([]) == 0
    path = place / "results" / "moduli" / "report" / "mae_table.csv"
    table = pd.read_csv(path)
    table.loc[0, "mae"] *= 1 + 1e-12
    table.to_csv(path, index=False)
    before = path.read_bytes()
    capsys.readouterr()
    assert tables([]) == 0
    assert path.read_bytes() == before
    assert capsys.readouterr().out.startswith("0 of ")


def test_the_readme_has_the_rows_with_links_and_commands(published: Path, place: Path) -> None:
    copytree(published / "results", place / "results")
    write_ablation(
        place / "ablation", lambda point, seed: 0.1 + 0.01 * point["num_layers"] + 0.001 * seed, finals=True
    )
    assert main(["ablation", "--out", "results/ablation"]) == 0
    assert tables([]) == 0
    text = (place / "README.md").read_text()
    assert text.startswith(f"# Title\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nMore.\n")
    row = next(line for line in text.splitlines() if line.startswith("| CGCNN"))
    table = pd.read_csv(place / "results/moduli/report/mae_table.csv").query(
        "model == 'cgcnn' and split == 'test'"
    )
    assert f"{table['mae'].iloc[0]:.3f}"[:4] in row
    assert "[moduli](results/moduli/report/mae_table.md)" in row
    assert f"{SMALL['test']} test crystals of mp-elastic-2015, 400 to train |" in text
    assert "    python -m suite.search --space" in text
    assert "Training mean (floor)" in text
    assert "[ablation](results/ablation/report/ablation.md)" in text
    assert text.count("| Crystalformer |") == 1  # ablations are no entries


def test_the_comparison_of_most_runs_comes_first(place: Path) -> None:
    kinds = {"a": ("cgcnn", 0.07, 400), "b": ("cgcnn", 0.07, 300), "c": ("crystalformer", 0.09, 300)}
    for name, (model, error, train) in kinds.items():
        unlike = {"split_hash": f"{train}" * 16, "test_hash": f"{train + 1}" * 16}  # no curve over sizes
        maker = RunFolderMaker({model: error}, name=name, train=train, **unlike, val=8, test=SMALL["test"])
        assert main([str(maker.write(place / name)), "--out", f"results/{name}"]) == 0
    assert tables([]) == 0
    text = (place / "README.md").read_text()
    assert 0 < text.index(", 300 to train |") < text.index(", 400 to train |")


def test_a_command_of_several_tables_is_said_once(place: Path) -> None:
    both = {"log10_K_VRH": None, "log10_G_VRH": None}
    for model, targets in {"cgcnn": both, "crystalformer": both, "schnet": {"log10_K_VRH": None}}.items():
        run = RunFolderMaker({model: 0.08}, name=model, targets=targets, **SMALL).write(place / model)
        assert main([str(run), "--out", f"results/{model}"]) == 0
    assert tables([]) == 0
    text = (place / "README.md").read_text()
    tables_at = [text.index(f"| MAE of `{target}`") for target in both]
    rows = [text[tables_at[0] : tables_at[1]].count("| [schnet]("), text[tables_at[1] :].count("| [schnet](")]
    assert rows == [1, 0]
    for model in ("cgcnn", "crystalformer", "schnet"):
        assert text.count(f"    python -m suite.search --space results/{model}/space.yaml") == 1
    assert text.count("<details><summary>Each row again</summary>\n\n    python -m suite.search") == 1
    assert text.count("\n\n</details>\n") == 1


def test_without_results_the_readme_says_so_and_without_marks_it_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tables([]) == 0
    assert NONE in (place / "README.md").read_text()
    for text in ("no marks", f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}"):
        (place / "README.md").write_text(text)
        assert tables([]) == 2
        assert "expected the lines" in capsys.readouterr().err
        assert (place / "README.md").read_text() == text


@pytest.mark.parametrize(
    ("maker", "edit", "flag", "said"),
    [
        (RunFolderMaker(status="interrupted", **SMALL), {}, "--unfinished", "got one that is interrupted"),
        (RunFolderMaker(**SMALL), {"provenance": {"dirty": True}}, "--dirty", "1 of 5 records with"),
        (RunFolderMaker(**SMALL), {"provenance": {}}, "--dirty", "without a commit"),
    ],
)  # fmt: skip
def test_unfit_runs_are_refused_unless_told_so(
    place: Path, capsys: pytest.CaptureFixture[str], maker: RunFolderMaker, edit: dict, flag: str, said: str
) -> None:
    run = maker.write(place / "run")
    edit_json(run / "search.json", **edit)
    assert main(["run", "--out", "results/x"]) == 2
    assert said in capsys.readouterr().err
    assert not (place / "results").exists()
    assert main(["run", "--out", "results/x", flag]) == 0


def test_a_space_that_needs_other_files_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolderMaker(**SMALL).write(place / "run")
    with (run / "space.yaml").open("a") as file:
        file.write("include: others.yaml\n")
    assert main(["run", "--out", "results/x"]) == 2
    said = capsys.readouterr().err
    assert "expected a search space that needs no other file, got run/space.yaml:" in said
    assert "others.yaml: no such search-space file" in said
    assert not (place / "results").exists()


def test_missing_seeds_changed_predictions_and_foreign_folders_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolderMaker(**SMALL).write(place / "run")
    (place / "results").mkdir()
    (place / "results" / "mine.txt").write_text("x")
    assert main(["run", "--out", "results"]) == 2
    assert "holds something else" in capsys.readouterr().err
    final = final_folders(run, "cgcnn")[0]
    assert main(["run", "--out", "results/x", "--weights", "cgcnn"]) == 2
    assert "got no such file" in capsys.readouterr().err
    (final / "model.safetensors").write_bytes(b"x" * (MOST_WEIGHTS + 1))
    assert main(["run", "--out", "results/x", "--weights", "cgcnn"]) == 2
    assert "got 4.0 MB" in capsys.readouterr().err
    edit_json(final / "run.json", status="failed")
    assert main(["run", "--out", "results/x"]) == 2
    assert "CGCNN, log10_K_VRH: 1 of 2 seeds" in capsys.readouterr().err
    table = pd.read_parquet(final_folders(run, "crystalformer")[0] / "predictions.parquet")
    table.assign(y_pred=0.0).to_parquet(final_folders(run, "crystalformer")[0] / "predictions.parquet")
    assert main(["run", "--out", "results/x", "--unfinished"]) == 2
    assert "one of the files was changed" in capsys.readouterr().err
    assert [path.name for path in (place / "results").iterdir()] == ["mine.txt"]


def test_places_and_names_of_the_machine_are_gone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "node-17")
    run = RunFolderMaker(**SMALL).write(place / "run")
    search = json.loads((run / "search.json").read_text())
    space = {"data": {"dataset": {"path": "/home/me/crystals.csv"}}}
    edit_json(
        run / "search.json", space=space,
        command=f"{search['command']} --runs /scratch/me --data=/d/e --trials 4",
        failures=[{"trial_id": "t1", "reason": "node-17 (10.0.0.3): cannot read /home/me/x.npy"}],
    )  # fmt: skip
    (run / "space.yaml").write_text("data: {dataset: {path: /home/me/crystals.csv}}\n")
    trials = pd.read_parquet(run / "trials.parquet")
    trials["ended"] = "lost node-17: /scratch/me/core"
    trials.to_parquet(run / "trials.parquet", index=False)
    out = place / "results" / "x"
    assert main(["run", "--out", str(out)]) == 0
    record = json.loads((out / "search.json").read_text())
    assert record["command"] == "python -m suite.search --space results/x/space.yaml --trials 4"
    assert record["failures"][0]["reason"] == "host (host): cannot read x.npy"
    assert record["space"] == {"data": {"dataset": {"path": "crystals.csv"}}}
    assert record["space_digest_with_paths"] == search["space_digest"]
    assert (out / "space.yaml").read_text() == "data: {dataset: {path: crystals.csv}}\n"
    assert set(pd.read_parquet(out / "trials.parquet")["ended"]) == {"lost host: core"}
    assert trace([str(out), "--model", "cgcnn", "--target", "log10_K_VRH"]) == 0


def test_what_is_no_place_stays() -> None:
    for text in (
        "eV/atom",
        "https://a.org/b/c",
        "fractions 0.8/0.1/0.1",
        "runs/x/final",
        "1/2",
        "/",
        "a / b",
    ):
        assert anonymous(text) == text
    assert anonymous({"a": ["/x/y/z.csv", 1, None]}) == {"a": ["z.csv", 1, None]}
    assert repeatable("python -m suite.search --space=a.yaml --name n", "r/s.yaml") == (
        "python -m suite.search --space r/s.yaml --name n"
    )
