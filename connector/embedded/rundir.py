"""The folder that one server keeps its configuration, data and log in, held by a lock as long as the server lives."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from connector.embedded import account as accounts
from connector.embedded import cache, errors
from connector.embedded.account import Account

__all__ = ["RunFolder", "opened"]

LOCK_WAIT_S = 30.0
#: A folder younger than this may be made right now, and not be locked yet.
FRESH_S = 20.0
MEMORY = Path("/dev/shm")  # noqa: S108  a RAM disk, used through unguessable folders of our own
#: Bytes free on it, below which the cache folder's disk is used.
MEMORY_NEEDED = 2**30
PREFIX = "rerank-bridge-"


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """Where one server works; the folders below belong to the account that it runs under."""

    path: Path
    #: file descriptor of the lock; a server's guard keeps it open too, so that it is held until the server is gone
    lock: int

    @property
    def config(self) -> Path:
        """Configuration, written by us at each start."""
        return self.path / "config"

    @property
    def data(self) -> Path:
        """What the server stores."""
        return self.path / "data"

    @property
    def logs(self) -> Path:
        """What the server logs by itself."""
        return self.path / "logs"

    @property
    def tmp(self) -> Path:
        """Scratch space of the server."""
        return self.path / "tmp"

    @property
    def output(self) -> Path:
        """What the server writes to its standard output and error."""
        return self.path / "output.log"


@contextlib.contextmanager
def opened(data: Path | None, account: Account | None, *, in_memory: bool = False) -> Iterator[RunFolder]:
    """A run folder at `data`, or a passing one in the cache (on the RAM disk with `in_memory`, where there is one).

    Passing folders are removed afterwards, and those of dead programs by the next start.
    Raises CacheUnusable when the folder is in use or closed to the account.
    """
    if data is None:
        with _passing(in_memory) as path, _locked(path, 0.0) as lock:
            yield _laid_out(path, lock, account)
        return
    path = accounts.make_folder(data.absolute())
    if closed := accounts.barrier(path, account):
        raise errors.CacheUnusable(f"The servers run as nobody, which may not enter {closed}; keep the data elsewhere")
    with _locked(path, LOCK_WAIT_S) as lock:
        yield _laid_out(path, lock, account)


@contextlib.contextmanager
def _passing(in_memory: bool) -> Iterator[Path]:
    parent = MEMORY if in_memory and _has_memory() else accounts.make_folder(cache.cache_folder() / "runs")
    _sweep(parent)
    with cache.disk_errors(parent):
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _has_memory() -> bool:
    """Whether there is a RAM disk with room; that of a container is often too small for an engine."""
    return os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED


def _sweep(parent: Path) -> None:
    """Remove what programs that were killed left behind: our folders whose lock nobody holds."""
    for path in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # in use, or gone already
            status = path.lstat()
            ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            if ours and time.time() - status.st_mtime > FRESH_S:
                with (path / "lock").open("a+") as handle:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path, patience: float) -> Iterator[int]:
    """Hold the folder. A server that is still shutting down after its program was killed is waited for."""
    until = time.monotonic() + patience
    with cache.disk_errors(path):
        handle = (path / "lock").open("a+")
    with handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise errors.CacheUnusable(
                        f"Another running stack keeps its data in {path}; stop it first"
                    ) from None
                time.sleep(0.1)
        yield handle.fileno()


def _laid_out(path: Path, lock: int, account: Account | None) -> RunFolder:
    run = RunFolder(path=path, lock=lock)
    for folder in (run.config, run.tmp):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in (run.config, run.data, run.logs, run.tmp):
        accounts.make_folder(folder, account)
    run.output.unlink(missing_ok=True)
    return run
