"""Is there a cluster at an address, and may others reach a session that has none? Asked before Ray starts."""

import os
import socket

_TIMEOUT_S = 5.0


def check_address(address: str) -> None:
    """Check that something listens at a Ray address: `host:port` or `ray://host:port`; `auto` is Ray's.

    Raises:
        ValueError: the address has another form, or nothing answers there.
    """
    if address == "auto":
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"--address: expected auto, host:port or ray://host:port, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT_S).close()
    except OSError as error:
        raise ValueError(
            f"--address: expected a Ray cluster at {address}, got {error}: start one, or leave --address out"
        ) from error


def stay_on_loopback(address: str | None) -> None:
    """Have a session of this machine's own listen on loopback alone; to be called before Ray is imported.

    Ray does so on desktop systems, and on others where this variable says that no cluster is wanted; without
    it every process of a session listens on all of the machine's addresses.
    """
    if not (address or os.environ.get("RAY_ADDRESS")):
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
