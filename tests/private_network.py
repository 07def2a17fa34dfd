"""Network namespaces on this machine, each with an address and a link of its own that can be cut."""

import os
import secrets
import shutil
import subprocess
from typing import Self


def why_not() -> str | None:
    """Why there can be no namespaces here; None if there can."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return "network namespaces need root and iproute2"
    name = f"probe{secrets.token_hex(3)}"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if done.returncode:
        return f"no network namespaces: {done.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return None


class PrivateNetwork:
    """A bridge, and namespaces that are joined to it; use it in a `with` block.

    Attributes:
        ip: this side's address.
    """

    def __init__(self) -> None:
        self._id = secrets.token_hex(3)
        self._net = f"10.{77 + secrets.randbelow(100)}.{secrets.randbelow(255)}"
        self.ip = f"{self._net}.1"
        self._bridge = f"br{self._id}"
        self._spaces: list[str] = []

    def __enter__(self) -> Self:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "add", f"{self.ip}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        return self

    def add(self) -> tuple[str, tuple[str, ...]]:
        """A namespace: its address, and what goes before a command that runs in it."""
        number = len(self._spaces) + 2
        name, here, there = f"ns{self._id}{number}", f"a{self._id}{number}", f"b{self._id}{number}"
        address = f"{self._net}.{number}"
        _ip("netns", "add", name)
        self._spaces.append(name)
        _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        _ip("link", "set", here, "master", self._bridge, "up")
        inside = ("netns", "exec", name, "ip")
        _ip(*inside, "address", "add", f"{address}/24", "dev", there)
        _ip(*inside, "link", "set", there, "up")
        _ip(*inside, "link", "set", "lo", "up")
        return address, ("ip", "netns", "exec", name)

    def cut(self, address: str) -> None:
        """Pull the cable of the namespace with this address."""
        _ip("link", "set", f"a{self._id}{address.rpartition('.')[2]}", "down")

    def __exit__(self, *_: object) -> None:
        for name in self._spaces:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        subprocess.run(["ip", "link", "delete", self._bridge], capture_output=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
