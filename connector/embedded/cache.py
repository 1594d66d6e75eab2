"""The cache folder, the lock on it, and folders in it that are either complete and undamaged or not there.

A prepared folder is built beside its place, described file by file in a manifest written last, then renamed. Whatever
interrupts that leaves a folder that is never used and is removed by the next start.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from connector.embedded import account, errors
from connector.embedded.report import Report

__all__ = ["cache_folder", "check_room", "digest", "disk_errors", "locked", "prepared"]

MANIFEST = "assembled.json"
LOCK_WAIT_S = 900.0


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """`RERANK_BRIDGE_CACHE_DIR`, else /var/cache/rerank-bridge for root, else rerank-bridge in the user's cache folder.

    Raises CacheUnusable when it cannot be created, or when the account that the servers run under cannot enter it.
    """
    user = account.server_account()
    if chosen := environ.get("RERANK_BRIDGE_CACHE_DIR"):
        path = Path(chosen).expanduser().absolute()
    elif user is not None:
        path = Path("/var/cache/rerank-bridge")
    else:
        path = Path(environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "rerank-bridge"
    try:
        account.make_folder(path)
    except errors.CacheUnusable as exc:
        raise errors.CacheUnusable(f"{exc}; name a writable one in RERANK_BRIDGE_CACHE_DIR") from exc
    if closed := account.barrier(path, user):
        raise errors.CacheUnusable(
            f"The servers run as nobody, which may not enter {closed}; name another folder in RERANK_BRIDGE_CACHE_DIR"
        )
    return path


@contextmanager
def locked(folder: Path, report: Report) -> Iterator[None]:
    """Hold the one lock of the cache folder; the kernel lets go of it when the holder dies. Raises CacheUnusable."""
    until = time.monotonic() + LOCK_WAIT_S
    try:
        handle = (folder / "lock").open("a")
    except OSError as exc:
        raise errors.CacheUnusable(
            f"Cannot write to the cache folder {folder}: {exc.strerror}; name another in RERANK_BRIDGE_CACHE_DIR"
        ) from exc
    with handle:
        waiting = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise errors.CacheUnusable(
                        f"Another process has held {folder / 'lock'} for {LOCK_WAIT_S / 60:.0f} minutes; end it first"
                    ) from None
                if not waiting:
                    report.step(f"Waiting for another start that is filling {folder}")
                    waiting = True
                time.sleep(0.1)
        yield


def prepared(folder: Path, build: Callable[[Path], None], report: Report) -> Path:
    """`folder`, built by `build(empty folder)` unless it is there, complete, and every file has its digest.

    The caller holds the lock.
    """
    damage = _damage(folder)
    if damage is None:
        return folder
    if folder.exists():
        report.step(f"{damage}; building {folder.name} again")
        shutil.rmtree(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    account.make_folder(partial)
    try:
        build(partial)
        with disk_errors(folder):
            _seal(partial)
            partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


def _seal(folder: Path) -> None:
    """Open the folder to every account, and write down what is in it."""
    manifest = {}
    for path in sorted(folder.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)
        if path.is_file():
            manifest[str(path.relative_to(folder))] = digest(path)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
    (folder / MANIFEST).chmod(0o644)


def _damage(folder: Path) -> str | None:
    """What is wrong with a prepared folder, in words, or None."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return f"{folder} is incomplete"
    for name, expected in manifest.items():
        path = folder / name
        if not path.is_file():
            return f"{path} is missing"
        if (found := digest(path)) != expected:
            return f"{path} is damaged (sha256 {found}, expected {expected})"
    return None


def digest(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_room(folder: Path, needed: int) -> None:
    """Raise DiskFull unless `needed` bytes are free where `folder` is."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise errors.DiskFull(
            f"{folder} needs {needed / 1e6:.0f} MB and has {free / 1e6:.0f} MB free; make room or name another folder "
            "in RERANK_BRIDGE_CACHE_DIR"
        )


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk into DiskFull and other failures to write into CacheUnusable."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise errors.DiskFull(
                f"The disk is full at {folder}; make room or name another folder in RERANK_BRIDGE_CACHE_DIR"
            ) from exc
        raise errors.CacheUnusable(f"Cannot write {exc.filename or folder}: {exc.strerror or exc}") from exc
