"""A PostgreSQL server of the test's own: a private cluster in a short folder, on a port of loopback."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from ray_cluster import free_port

USER = "suite"
_NOBODY = "postgres"  # who runs it where the tests run as root, which the server refuses


def why_not() -> str | None:
    """Why there can be no server here; None if there can."""
    if _programs() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        return "as root, PostgreSQL needs setpriv to run as another user"
    return None


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class PostgresqlServer:
    """Use it in a `with` block; `stop` and `start` make it go away and come back."""

    def __init__(self, password: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        self.port = free_port()
        self.url = f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/postgres"
        secret = self.folder / "password"
        secret.write_text(password)
        if os.geteuid() == 0:
            shutil.chown(self.folder, _NOBODY, _NOBODY)
            shutil.chown(secret, _NOBODY, _NOBODY)
        options = [f"--username={USER}", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync"]
        self._run("initdb", f"--pgdata={self.folder}/data", *options)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off"
        self._run("pg_ctl", "start", "-w", f"-D{self.folder}/data", f"-l{self.folder}/log", "-o", options)

    def stop(self) -> None:
        """Stop it as a machine that loses its power would, except that it may clean up."""
        self._run("pg_ctl", "stop", "-w", f"-D{self.folder}/data", "-mimmediate")

    def _run(self, program: str, *arguments: str) -> None:
        programs = _programs()
        assert programs is not None
        command = [str(programs / program), *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *command]
        # The server inherits the output, so a pipe would never end.
        with (self.folder / "said").open("w+") as said:
            done = subprocess.run(command, stdout=said, stderr=said, cwd=self.folder)
            said.seek(0)
            assert done.returncode == 0, said.read()
