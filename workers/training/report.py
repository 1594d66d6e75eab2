"""How a run tells what it is doing: a small protocol, so that the command draws a bar and tests stay quiet."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Quiet", "Report"]


class Report(Protocol):
    """Receives progress, from the training's own thread."""

    def step(self, text: str) -> None:
        """Say in one line what begins, or what was found out."""

    def progress(self, done: int, total: int, note: str) -> None:
        """`done` of `total` optimiser steps are done."""


class Quiet:
    """Reports to nobody."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def progress(self, done: int, total: int, note: str) -> None:
        """Show nothing."""
