"""How the stack tells what it is doing: a small protocol, so that the command line shows bars and tests stay quiet."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["Quiet", "Report", "quiet"]


class Report(Protocol):
    """Receives progress; called from one thread at a time, `advance` from several."""

    def step(self, text: str) -> None:
        """Say what begins now, in one line."""

    def download(self, name: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Begin a download of `total` bytes; the context yields `advance(bytes)`."""


class Quiet:
    """Reports to nobody."""

    def step(self, text: str) -> None:
        """Say nothing."""

    @contextmanager
    def download(self, name: str, total: int) -> Iterator[Callable[[int], None]]:  # noqa: ARG002  the protocol's names
        """Count nothing."""
        yield lambda _: None


quiet = Quiet()
