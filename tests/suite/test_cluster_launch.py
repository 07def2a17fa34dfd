"""Launch files: the shell script runs against stand-ins for SLURM, the YAML says what was asked for."""

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from suite.cluster.launch import Launch, launch_file

ROOT = Path(__file__).parents[2]
SPACE = "search_spaces/quickstart.yaml"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "suite.cluster", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def tools(folder: Path, **scripts: str) -> dict[str, str]:
    """Commands of these names that run these scripts; the environment to find them."""
    folder.mkdir()
    for name, script in scripts.items():
        tool = folder / name
        tool.write_text(f"#!/usr/bin/env bash\n{script}\n")
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def slurm_job(tmp_path: Path, **scripts: str) -> subprocess.Popen[str]:
    """The job script under a SLURM whose `srun`, and other commands, are the given scripts."""
    script = tmp_path / "search.sh"
    script.write_text(launch_file("slurm", Launch(SPACE, nodes=3, gpus=4, cpus=16, hours=36)))
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").write_text("")
    requeue = 'if [ "$1" = requeue ]; then touch requeued; else printf "node7\\nnode8\\nnode9\\n"; fi'
    environment = tools(tmp_path / "bin", scontrol=requeue, **scripts)
    environment |= {
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NODELIST": "node[7-9]",
    }
    return subprocess.Popen(["bash", str(script)], env=environment, cwd=tmp_path, text=True)


def test_a_slurm_job_starts_ray_on_every_node_and_the_search_on_the_first(tmp_path: Path) -> None:
    said = 'printf "%s\\n" "$@" > called; env | grep "^RAY_" | sort > environment; exit 3'
    job = slurm_job(tmp_path, srun=said)
    assert job.wait(timeout=60) == 3  # what the search said
    called = (tmp_path / "called").read_text().split("\n")
    ours, search = called[: called.index("--")], called[called.index("--") + 1 :]
    assert ours[1:3] == ["ray", "symmetric-run"]
    for option, value in (("--min-nodes", "3"), ("--num-cpus", "16"), ("--num-gpus", "4")):
        assert ours[ours.index(option) + 1] == value
    assert ours[ours.index("--address") + 1] == search[search.index("--address") + 1] == "node7:24711"
    assert f" python -m suite.search --space {SPACE} --runs runs --data data" in " ".join(search)
    environment = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines())
    assert environment["RAY_AUTH_MODE"] == "token"
    assert len(environment["RAY_AUTH_TOKEN"]) == 64
    assert len(environment["RAY_TMPDIR"]) < 40
    assert not (tmp_path / "requeued").exists()


def test_before_the_time_limit_the_search_is_asked_to_stop_and_the_job_queues_again(tmp_path: Path) -> None:
    """The step itself, and Ray with it, must go on until the search has saved what runs."""
    ray = 'trap "touch ray_was_told" TERM; while [ "$1" != -- ]; do shift; done; shift; "$@"'
    search = (
        'if [ "$1" = -c ]; then echo token; exit; fi; trap "touch saved; exit 130" TERM; '
        "touch started; while :; do sleep 0.05; done"
    )
    job = slurm_job(tmp_path, srun=ray, python=search)
    while not (tmp_path / "started").exists():
        assert job.poll() is None
    job.terminate()
    assert job.wait(timeout=60) == 130
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "requeued").exists()
    assert not (tmp_path / "ray_was_told").exists()


@pytest.mark.skipif(not shutil.which("bash"), reason="bash")
def test_the_head_of_a_slurm_script_asks_for_what_was_asked() -> None:
    done = run("slurm", "--space", SPACE, "--nodes", "2", "--gpus", "0", "--cpus", "4", "--hours", "1.5")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    for line in ("--nodes=2", "--cpus-per-task=4", "--time=0-01:30:00", "--requeue", "--signal=B:TERM@300"):
        assert f"#SBATCH {line}" in lines
    assert "gpus-per-node" not in done.stdout
    assert subprocess.run(["bash", "-n"], input=done.stdout, text=True).returncode == 0


def test_a_ray_job_has_its_pods_storage_and_token(tmp_path: Path) -> None:
    out = tmp_path / "job.yaml"
    done = run(
        "kuberay", "--space", SPACE, "--nodes", "4", "--gpus", "2", "--claim", "team", "--out", str(out)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    job = YAML(typ="safe").load(out)
    assert (job["kind"], job["metadata"]["name"]) == ("RayJob", "search-quickstart")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    [workers] = cluster["workerGroupSpecs"]
    assert workers["replicas"] == 3
    for group in (cluster["headGroupSpec"], workers):
        pod = group["template"]["spec"]
        [container] = pod["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {"/suite/runs", "/suite/data"} <= mounts
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "team"
    assert job["spec"]["entrypoint"].endswith("--runs runs --data data --address auto")


def test_one_pod_needs_no_workers() -> None:
    job = YAML(typ="safe").load(launch_file("kuberay", Launch(SPACE, nodes=1)))
    assert "workerGroupSpecs" not in job["spec"]["rayClusterSpec"]


def test_ray_up_knows_its_machines() -> None:
    cluster = YAML(typ="safe").load(launch_file("ray-up", Launch(SPACE, nodes=3, gpus=1)))
    assert cluster["provider"]["worker_ips"] == ["WORKER_1_ADDRESS", "WORKER_2_ADDRESS"]
    assert cluster["max_workers"] == 2
    assert any("--num-gpus=1" in command for command in cluster["head_start_ray_commands"])
    assert "/root/.ray/auth_token" in cluster["file_mounts"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--space", "nowhere.yaml", "--nodes", "2"),
            "--space: expected a search-space file, got",
        ),
        (("--space", SPACE, "--nodes", "0"), "--nodes: expected at least 1, got 0"),
        (("--space", SPACE, "--nodes", "2", "--gpus", "-1"), "--gpus: expected at least 0, got -1"),
        (("--space", SPACE, "--nodes", "2", "--hours", "0"), "--hours: expected from 0.1 hours to a year"),
        (("--space", SPACE, "--nodes", "2", "--runs", "a b;rm"), "--runs: expected letters, digits"),
        (("--space", SPACE, "--nodes", "2", "--out", "/nowhere/x.sh"), "No such file or directory"),
    ],
)
def test_mistakes_end_with_one_message(arguments: tuple[str, ...], message: str) -> None:
    done = run("slurm", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    "line", re.findall(r"^ +python -m suite\.cluster (.*) > ", (ROOT / "docs/cluster.md").read_text(), re.M)
)
def test_the_commands_of_the_guide_write_their_files(line: str) -> None:
    done = run(*shlex.split(line))
    assert done.returncode == 0, done.stderr
    assert "suite.search --space search_spaces/mp_formation.yaml" in done.stdout
