"""What can go wrong with the stack on one machine.

contract.errors.EmbeddedError
├── CacheUnusable    the cache or data folder cannot be used
├── DownloadFailed   an artifact could not be fetched
├── DigestMismatch   an artifact is not the one that the lock file names
├── DiskFull         not enough room for what has to be fetched or written
├── PortTaken        the port asked for belongs to someone else
├── ChildDied        a process ended that should be running
└── NotReady         a process runs, but did not become ready in time
"""

from connector.contract.errors import EmbeddedError, MissingExtra

__all__ = [
    "CacheUnusable",
    "ChildDied",
    "DigestMismatch",
    "DiskFull",
    "DownloadFailed",
    "EmbeddedError",
    "MissingExtra",
    "NotReady",
    "PortTaken",
]


class CacheUnusable(EmbeddedError):
    """The cache or data folder cannot be used."""


class DownloadFailed(EmbeddedError):
    """An artifact could not be downloaded."""


class DigestMismatch(EmbeddedError):
    """A downloaded artifact is not the one that the lock file names."""


class DiskFull(EmbeddedError):
    """There is not enough room on the disk."""


class PortTaken(EmbeddedError):
    """The port asked for is in use."""


class ChildDied(EmbeddedError):
    """A process of the stack ended."""


class NotReady(EmbeddedError):
    """A process of the stack did not become ready in time."""
