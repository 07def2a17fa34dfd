"""Is there a cluster at an address? Asked before anything is written, and before Ray waits for it."""

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
