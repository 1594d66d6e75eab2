"""The account that the servers run under: the caller's own, or `nobody` where the caller is root.

Both engines refuse to run as root, so every folder that a server reads must be open to that account.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from connector.embedded import errors

__all__ = ["Account", "barrier", "make_folder", "server_account"]


@dataclass(frozen=True, kw_only=True)
class Account:
    """User and group ids to drop to."""

    uid: int
    gid: int


def server_account() -> Account | None:
    """The account to drop to, or None where the caller is no root and servers run as the caller.

    Raises EmbeddedError where root has no `nobody` to drop to.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise errors.EmbeddedError(
            "The engines refuse to run as root and there is no account `nobody` to run them under; "
            "create one or start as an ordinary user"
        ) from None
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def make_folder(path: Path, owner: Account | None = None) -> Path:
    """Create the folder with mode 0755 whatever the umask, its missing parents too; the last one belongs to `owner`.

    Raises CacheUnusable.
    """
    try:
        for folder in reversed([path, *path.parents]):
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                folder.chmod(0o755)
        if owner is not None and path.stat().st_uid != owner.uid:
            os.chown(path, owner.uid, owner.gid)
    except OSError as exc:
        raise errors.CacheUnusable(f"Cannot create the folder {path}: {exc.strerror}") from exc
    return path


def barrier(path: Path, account: Account | None) -> Path | None:
    """The first folder on the way to `path` that `account` may not enter, or None when the way is free."""
    if account is None:
        return None
    for folder in reversed([path.resolve(), *path.resolve().parents]):
        status = folder.stat()
        if status.st_uid == account.uid:
            needed = 0o100
        elif status.st_gid == account.gid:
            needed = 0o010
        else:
            needed = 0o001
        if not status.st_mode & needed:
            return folder
    return None
