"""`Launch`: the settings of a search on a cluster, and the file that starts it there."""

import re
import shlex
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

Kind = Literal["slurm", "kuberay", "ray-up"]
TEMPLATES: dict[Kind, str] = {"slurm": "slurm.sh.j2", "kuberay": "rayjob.yaml.j2", "ray-up": "ray_up.yaml.j2"}
LONGEST_NAME = 40  # Kubernetes adds to it and allows 63


@dataclass(frozen=True)
class Launch:
    """A search on several nodes.

    Attributes:
        space: the search space, a path that the nodes know.
        nodes: how many, the head included.
        gpus: of each node.
        cpus: of each node.
        hours: time limit of the job; a search that isn't done by then begins again and continues.
        runs: folder of the results, which every node sees under this path.
        image: container image with the suite installed, for Kubernetes and `ray up`.
        data: folder of the prepared data sets, likewise.
        claim: name of the persistent volume claim behind `runs` and `data`, for Kubernetes.

    Raises:
        ValueError: a number that is too small, or a name or path that cannot be written into the file.
    """

    space: str
    nodes: int
    gpus: int = 0
    cpus: int = 8
    hours: float = 24.0
    runs: str = "runs"
    data: str = "data"
    image: str = "crystalformer-suite:latest"
    claim: str = "crystalformer-runs"

    def __post_init__(self) -> None:
        for name, least in (("nodes", 1), ("gpus", 0), ("cpus", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name}: expected at least {least}, got {getattr(self, name)}")
        if not 0.1 <= self.hours <= 24 * 365:
            raise ValueError(f"--hours: expected from 0.1 hours to a year, got {self.hours:g}")
        for name in ("space", "runs", "data", "image", "claim"):
            if not re.fullmatch(r"[\w./:@+-]+", getattr(self, name)):
                raise ValueError(
                    f"--{name}: expected letters, digits and ./:@+-_ only, got {getattr(self, name)!r}"
                )

    @property
    def name(self) -> str:
        """Name of the job: that of the file, as DNS allows it."""
        words = re.sub(r"[^a-z0-9]+", "-", Path(self.space).stem.lower()).strip("-")
        return f"search-{words or 'space'}"[:LONGEST_NAME].rstrip("-")

    @property
    def time_limit(self) -> str:
        """The hours as days-hours:minutes:seconds."""
        minutes = round(self.hours * 60)
        days, rest = divmod(minutes, 24 * 60)
        return f"{days}-{rest // 60:02d}:{rest % 60:02d}:00"

    def command(self, address: str) -> str:
        """The search as a shell command."""
        parts = ["python", "-m", "suite.search", "--space", self.space]
        parts += ["--runs", self.runs, "--data", self.data]
        return f"{shlex.join(parts)} --address {address}"


def launch_file(kind: Kind, launch: Launch) -> str:
    """The text of the launch file."""
    environment = Environment(
        loader=PackageLoader("suite.cluster"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    template = environment.get_template(TEMPLATES[kind])
    return template.render(
        **asdict(launch),
        launch=launch,
        ray_version=version("ray"),
        python_version="3.11",
    )
