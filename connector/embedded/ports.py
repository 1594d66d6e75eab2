"""Ports on loopback: one that is free at the moment, and a clear error for one that is not."""

import socket

from connector.embedded import errors

__all__ = ["HOST", "check_free", "free"]

HOST = "127.0.0.1"


def free() -> int:
    """A port that nobody uses now; its user must be ready to lose it to somebody faster."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def check_free(port: int) -> None:
    """Raise PortTaken unless `port` can be listened on; 0, which means any, always can."""
    with socket.socket() as probe:
        # As servers do: connections that linger after the last user do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as exc:
            raise errors.PortTaken(
                f"Cannot listen on port {port}: {exc.strerror}; stop what uses it or choose another"
            ) from exc
