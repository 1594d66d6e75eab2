"""Sends every query through first stage and scorer, several at a time, and keeps both scores of every candidate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from connector.contract import names
from connector.evaluate import latency
from connector.evaluate.beir import Topics
from connector.evaluate.candidates import Candidates
from connector.evaluate.latency import Timing
from connector.evaluate.sources import Found, Source
from connector.scoring.base import Scored, Scorer

__all__ = ["Collected", "Progress", "collect"]

#: Called with the number of queries done so far.
Progress = Callable[[int], None]
#: Searches under way at once: enough that the worker always has the next one waiting, few enough to be forgotten.
_IN_FLIGHT = 4
#: Searches whose answers are thrown away before anything is timed.
_WARM_UP = 10
#: Seconds that one query's scores may take. A worker on two cores scores 200 abstracts in about five.
_DEADLINE = 600.0
#: Characters of a document that a report shows.
_SNIPPET = 280


@dataclass(kw_only=True, slots=True)
class Collected:
    """Both scores of everything, and what it took."""

    #: By query id, in the order of the queries.
    candidates: dict[str, Candidates] = field(default_factory=dict)
    timings: list[Timing] = field(default_factory=list)
    #: The beginnings of the documents seen.
    snippets: dict[str, str] = field(default_factory=dict)
    #: As the worker announced them; None where nothing was scored.
    model: str | None = None
    fingerprint: str | None = None
    #: Scores that came from the cache, and all.
    cached: int = 0
    scored: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pass:
    source: Source
    #: None: the first stage is judged alone.
    scorer: Scorer | None
    alias: str
    passages: str
    #: Candidates fetched, and of them scored.
    size: int
    depth: int
    into: Collected

    async def alone(self, query_id: str, query: str, window: int) -> None:
        """One query with nothing else under way: its first `window` timed, the others scored after that."""
        found = await self.source.find(query_id, query, self.size)
        started = time.monotonic()
        first = await self._score(query, found.texts[:window], names.INTERACTIVE)
        seconds = time.monotonic() - started
        rest = await self._score(query, found.texts[window : self.depth], names.INTERACTIVE)
        if first is not None and found.ids:
            timing = Timing(window=window, first_stage_s=found.seconds, scoring_s=seconds, cached=first.cache_hits)
            self.into.timings.append(timing)
        self._keep(query_id, query, found, [first, rest])

    async def among_others(self, query_id: str, query: str) -> None:
        """One query, whole."""
        found = await self.source.find(query_id, query, self.size)
        self._keep(query_id, query, found, [await self._score(query, found.texts[: self.depth], names.BATCH)])

    async def _score(self, query: str, texts: Sequence[str | None], lane: names.Lane) -> Scored | None:
        documents = [text for text in texts if text]
        if self.scorer is None or not documents:
            return None
        scored = await self.scorer.score(
            model=self.alias,
            query=query,
            documents=documents,
            passages=self.passages,
            deadline=time.monotonic() + _DEADLINE,
            lane=lane,
        )
        if scored.failure:
            # A figure over the queries that happened to be scored would be a wrong one.
            raise scored.failure
        return scored

    def _keep(self, query_id: str, query: str, found: Found, parts: Iterable[Scored | None]) -> None:
        scored = [part for part in parts if part]
        values = iter([value for part in scored for value in part.values])
        depth = self.depth if self.scorer else 0
        into = self.into
        into.candidates[query_id] = Candidates(
            query_id=query_id,
            query=query,
            ids=found.ids,
            found=found.scores,
            scores=tuple(next(values) if text else None for text in found.texts[:depth]),
        )
        for part in scored:
            into.model, into.fingerprint = part.model, part.fingerprint
            into.cached += part.cache_hits
            into.scored += len(part.values)
        for document, text in zip(found.ids, found.texts, strict=True):
            into.snippets.setdefault(document, _beginning(text or ""))


def _beginning(text: str) -> str:
    return text if len(text) <= _SNIPPET else text[:_SNIPPET].rpartition(" ")[0] + " …"


async def collect(
    topics: Topics,
    source: Source,
    scorer: Scorer | None,
    *,
    alias: str,
    passages: str,
    window: int,
    windows: Sequence[int],
    size: int,
    progress: Progress,
) -> Collected:
    """Finds and scores the candidates of every query.

    The first queries run alone and are timed, at `window` and at the other `windows`; the others run a few at a time.

    Args:
        scorer: None judges the first stage alone.
        windows: how deep the sweep goes; the deepest is what is scored.
        size: candidates fetched for each query, at least as many as are scored.

    Raises:
        EngineError: the engine does not answer, or refuses a search.
        ScoringError: a query could not be scored: there are no figures over a part of them.
    """
    collected = Collected()
    work = _Pass(
        source=source,
        scorer=scorer,
        alias=alias,
        passages=passages,
        size=size,
        depth=max(windows),
        into=collected,
    )
    queries = list(topics.queries.items())
    # An engine that was just started answers its first searches slowly, and nobody's engine was just started.
    for query_id, query in queries[:_WARM_UP]:
        await source.find(query_id, query, work.size)
    alone = latency.plan(len(queries), window, windows)
    for (query_id, query), timed in zip(queries, alone, strict=False):
        await work.alone(query_id, query, timed)
        progress(len(collected.candidates))
    waiting = iter(queries[len(alone) :])

    async def lane() -> None:
        for query_id, query in waiting:
            await work.among_others(query_id, query)
            progress(len(collected.candidates))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_IN_FLIGHT):
                group.create_task(lane())
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    collected.candidates = {query: collected.candidates[query] for query in topics.queries}
    return collected
