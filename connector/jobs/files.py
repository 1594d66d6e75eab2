"""Inputs and outputs, on this machine or behind any URL that fsspec opens (s3://, gs://, https://)."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl, urlsplit

from connector.contract.errors import ConfigurationError, InputError, MissingExtra

__all__ = ["absolute", "check_output", "identity", "is_url", "opened", "publish", "refuse_credentials", "size"]

_BLOCK = 1 << 20
#: Names of query parameters that sign an address or hold a secret.
_SECRET = ("signature", "token", "credential", "secret", "password", "key", "sig")


def is_url(where: str) -> bool:
    """Whether `where` is opened by fsspec; everything else is a path."""
    return "://" in where


def absolute(where: str) -> str:
    """A path as every process on this machine understands it; a URL as it is (`file:` ones as paths)."""
    if where.startswith("file://"):
        where = urlsplit(where).path
    return where if is_url(where) else str(Path(where).expanduser().absolute())


def refuse_credentials(where: str) -> None:
    """Keeps secrets out of job records.

    Raises:
        ConfigurationError: `where` is a URL with a user name, a password or a signature.
    """
    if not is_url(where):
        return
    parts = urlsplit(where)
    names = [name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if "@" in parts.netloc or any(name.endswith(_SECRET) for name in names):
        raise ConfigurationError(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}: leave credentials out of the address "
            "(a job's record would hold them); give them to the coordinator as fsspec reads them (environment, config)"
        )


@contextlib.contextmanager
def opened(where: str, *, offset: int = 0) -> Iterator[BinaryIO]:
    """`where`, from byte `offset`.

    Raises:
        InputError: it cannot be opened.
        MissingExtra: a URL, and fsspec or the package for its scheme is not installed.
    """
    try:
        file = _fsspec(where).open(where, "rb").open() if is_url(where) else Path(where).open("rb")  # noqa: SIM115  below
    except Exception as exc:
        raise _unreadable(where, exc) from exc
    with file:
        if offset:
            file.seek(offset)
        yield cast("BinaryIO", file)


def identity(where: str) -> str:
    """What tells the contents of `where` from others: a digest of a local file, what its server says of a URL.

    Raises:
        InputError: it cannot be read.
        MissingExtra: as `opened`.
    """
    if is_url(where):
        try:
            system, path = _fsspec(where).core.url_to_fs(where)
            return f"url:{system.ukey(path)}"
        except Exception as exc:
            raise _unreadable(where, exc) from exc
    digest = blake2b(digest_size=16)
    with opened(where) as file:
        try:
            while block := file.read(_BLOCK):
                digest.update(block)
        except OSError as exc:
            raise _unreadable(where, exc) from exc
    return digest.hexdigest()


def size(where: str) -> int:
    """Bytes; 0 where a server does not say.

    Raises:
        InputError: it cannot be read.
    """
    if not is_url(where):
        return Path(where).stat().st_size
    system, path = _fsspec(where).core.url_to_fs(where)
    return int(system.size(path) or 0)


def check_output(where: str, *, overwrite: bool) -> None:
    """Finds out before the work what would fail after it.

    Raises:
        ConfigurationError: the output exists (unless `overwrite`), its folder does not, or may not be written.
    """
    if is_url(where):
        system, path = _fsspec(where).core.url_to_fs(where)
        if not overwrite and system.exists(path):
            raise ConfigurationError(f"{where} exists: name another output, or --overwrite it")
        return
    path = Path(where)
    if path.is_dir():
        raise ConfigurationError(f"{where} is a folder: name a file in it")
    if path.exists() and not overwrite:
        raise ConfigurationError(f"{where} exists: name another output, or --overwrite it")
    try:
        descriptor, probe = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as exc:
        raise ConfigurationError(f"{where} cannot be written: {path.parent}: {exc.strerror}") from exc
    os.close(descriptor)
    Path(probe).unlink()


def publish(finished: Path, where: str) -> None:
    """Makes the finished file appear at `where`, whole or not at all, and on the disk before this returns.

    Raises:
        OSError: it cannot be written.
    """
    if is_url(where):
        # Object stores show an object when its upload is complete.
        with finished.open("rb") as source, _fsspec(where).open(where, "wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)
        return
    path = Path(where)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with finished.open("rb") as source, partial.open("wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)
            target.flush()
            os.fsync(target.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Puts the names in `folder` on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsspec(where: str) -> Any:
    try:
        import fsspec
    except ImportError as exc:
        raise MissingExtra(f"{where} is a URL, which", "jobs") from exc
    return fsspec


def _unreadable(where: str, exc: Exception) -> Exception:
    if isinstance(exc, ImportError | MissingExtra):
        return ConfigurationError(f"{where} cannot be opened: {exc}")
    return InputError(f"{where} cannot be read: {getattr(exc, 'strerror', None) or exc}")
