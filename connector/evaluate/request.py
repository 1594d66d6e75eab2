"""What is to be evaluated, and how: the command's options as a value."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from connector.first_stage import Mode
from connector.settings import Policy

__all__ = ["Live", "Narrator", "Request"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """An index that is there already, and what is asked of it."""

    index: str
    queries: Path
    qrels: Path
    #: Text fields to search and read; empty: all of the mapping.
    fields: tuple[str, ...] = ()
    #: A file with a search body of the site's own; None: ours.
    search: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is to be evaluated, and how."""

    #: A BEIR folder, or a live index.
    data: Path | Live
    policy: Policy
    first_stage: Mode = "bm25"
    #: Windows of the sweep, besides the policy's.
    windows: tuple[int, ...] = ()
    #: Which file under `qrels/` of a BEIR folder.
    split: str = "test"
    #: Leave out judgments for unknown queries and documents.
    lenient: bool = False
    sample: int | None = None
    seed: int = 0
    #: Candidates from a run file in the place of a search.
    run_in: Path | None = None
    #: False: judge the first stage or the run file alone.
    rerank: bool = True

    @property
    def depths(self) -> tuple[int, ...]:
        """Every window that is measured, rising."""
        return tuple(sorted({*self.windows, self.policy.window}))


class Narrator(Protocol):
    """Receives progress."""

    def step(self, text: str) -> None:
        """Says what begins now, in one line."""

    def bar(self, name: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Begins a bar; the context yields what is called with the number done so far."""
        ...
