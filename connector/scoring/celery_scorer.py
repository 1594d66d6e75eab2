"""The scorer of production: stored scores first, then one Celery task with the misses, answered on a Redis list."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import redis

from connector.contract import keys, names, scores
from connector.contract.errors import (
    ModelFailed,
    NoWorker,
    QueueUnavailable,
    ScoringError,
    ScoringTimeout,
    Shed,
    WireError,
)
from connector.contract.wire import Reply
from connector.scoring import replies
from connector.scoring.base import Embedder, Scored
from connector.scoring.dispatch import Asked, Dispatcher

if TYPE_CHECKING:
    import redis.asyncio

    from connector.scoring.admission import Admission
    from connector.scoring.directory import Directory
    from connector.scoring.flights import Flight
    from connector.scoring.local import LocalScores
    from connector.scoring.replies import Replies
    from connector.scoring.sender import Sender

__all__ = ["CeleryScorer"]

log = logging.getLogger(__name__)

#: Seconds between two looks at whether the workers that we wait for still live.
_LOOK = 1.0
#: Share of the time left that the cache may take to answer: a cache that hangs leaves the rest to a worker.
_CACHE_SHARE = 0.5
#: Seconds that a cache which did not answer is left alone, and the wait that was too short to blame it.
_CACHE_PAUSE = 1.0
_CACHE_BLAMED = 0.1


class CeleryScorer:
    """Implements `Scorer` and `Embedder`. Made by `connector.scoring.connect`."""

    def __init__(
        self,
        *,
        hasher: keys.Hasher,
        cache: redis.asyncio.Redis,
        local: LocalScores,
        directory: Directory,
        reply_reader: Replies,
        sender: Sender,
        embedder: Embedder,
        admission: Admission | None = None,
    ) -> None:
        self.directory = directory
        self._hasher = hasher
        self._cache = cache
        self._cache_rests_until = 0.0
        self._local = local
        self._embedder = embedder
        self._dispatcher = Dispatcher(
            directory=directory, reply_reader=reply_reader, sender=sender, landed=self._keep, admission=admission
        )

    @property
    def under_way(self) -> int:
        """Pairs that are being scored for this process right now."""
        return len(self._dispatcher)

    async def score(
        self,
        *,
        model: str,
        query: str,
        documents: Sequence[str],
        deadline: float,
        passages: str = "truncate",
        lane: names.Lane = names.INTERACTIVE,
    ) -> Scored:
        """See `Scorer.score`."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(deadline - started):
                worker = await self.directory.resolve(model)
        except (TimeoutError, QueueUnavailable) as exc:
            return _unscored(documents, _translated(exc))
        if worker is None:
            return _unscored(documents, NoWorker(f"no worker has ever announced the model {model!r}"))
        key = keys.scores_key(worker.fingerprint, passages, self._hasher.query(query))
        fields = [self._hasher.document(text) for text in documents]
        known = await self._stored(key, fields, deadline)
        cache_s = time.monotonic() - started
        hits = sum(field in known for field in fields)
        missing = {field: text for field, text in zip(fields, documents, strict=True) if field not in known}
        asked = Asked(worker=worker, key=key, query=query, passages=passages, lane=lane, deadline=deadline)
        flights: list[Flight] = []
        sent, failure = await self._bring(asked, missing, flights)
        own = [flight.reply.result() for flight in flights if flight.has_result()]
        known |= _arrived(flights, missing)
        return Scored(
            values=[known.get(field) for field in fields],
            cache_hits=hits,
            tasks=sent,
            fingerprint=worker.fingerprint,
            model=worker.model,
            failure=failure,
            cache_s=cache_s,
            queue_s=max((reply.queue_s for reply in own), default=0.0),
            score_s=max((reply.score_s for reply in own), default=0.0),
        )

    async def embed(
        self, texts: Sequence[str], *, deadline: float, model: str = "embed", lane: names.Lane = names.INTERACTIVE
    ) -> list[list[float]]:
        """See `Embedder.embed`."""
        return await self._embedder.embed(texts, deadline=deadline, model=model, lane=lane)

    async def _stored(self, key: str, fields: list[bytes], deadline: float) -> dict[bytes, float]:
        """What is stored here and in Redis. A cache that is away is told in the log; then everything is scored."""
        known = _known(fields, self._local.get(key, fields))
        absent = [field for field in dict.fromkeys(fields) if field not in known]
        now = time.monotonic()
        if not absent or now < self._cache_rests_until:
            return known
        patience = (deadline - now) * _CACHE_SHARE
        try:
            async with asyncio.timeout(patience):
                found = _known(absent, await scores.read(self._cache, key, absent))
        except WireError as exc:
            log.warning("cached_scores_unreadable", extra={"reason": str(exc)})
        except (redis.RedisError, OSError) as exc:
            log.warning("cache_unavailable", extra={"reason": repr(exc)})
            if not isinstance(exc, TimeoutError) or patience >= _CACHE_BLAMED:
                self._cache_rests_until = time.monotonic() + _CACHE_PAUSE
        else:
            self._local.put(key, found)
            known |= found
        return known

    async def _bring(
        self, asked: Asked, missing: dict[bytes, str], flights: list[Flight]
    ) -> tuple[int, ScoringError | None]:
        """Waits until `flights`, which it fills, brought all that is `missing`: tasks sent, and why something is not.

        First with those that are under way already. What these do not bring, because whoever sent them had less time,
        is sent anew.
        """
        sent = 0
        wanted = missing
        try:
            for join in (True, False):
                if not wanted:
                    break
                async with asyncio.timeout(asked.deadline - time.monotonic()):
                    joined, own = await self._dispatcher.fly(asked, wanted, join=join)
                flights += joined + ([own] if own else [])
                sent += own is not None
                await self._land([*joined, *([own] if own else [])], set(joined), asked)
                arrived = _arrived(flights, missing)
                wanted = {field: text for field, text in missing.items() if field not in arrived}
        except TimeoutError:
            return sent, ScoringTimeout("the deadline passed before the task was sent")
        except ScoringError as exc:
            return sent, exc
        return sent, ModelFailed("a worker sent fewer scores than documents") if wanted else None

    async def _land(self, flights: list[Flight], joined: Collection[Flight], asked: Asked) -> None:
        """Waits for the flights; gives up at the deadline, or when no worker lives that could answer.

        A joined flight is waited for until its own deadline, and that it came too late for its sender is no failure.
        """
        waiting = {flight.reply: flight for flight in flights}
        while waiting:
            now = time.monotonic()
            if now >= asked.deadline:
                raise ScoringTimeout("the scores did not come before the deadline")
            waiting = {
                reply: flight for reply, flight in waiting.items() if flight not in joined or now < flight.deadline
            }
            if not waiting:
                return
            soonest = min(asked.deadline, *(flight.deadline for flight in waiting.values()))
            done, _ = await asyncio.wait(waiting, timeout=min(soonest - now, _LOOK))
            for reply in done:
                try:
                    replies.numbers(_result(reply))
                except (ScoringTimeout, Shed):
                    if waiting[reply] not in joined:
                        raise
                del waiting[reply]
            if waiting and not done and not self.directory.live(asked.worker.fingerprint):
                raise NoWorker("the worker went away while it was scoring")

    def _keep(self, flight: Flight) -> None:
        self._local.put(flight.key, _arrived([flight], flight.fields))


def _known(fields: Sequence[bytes], values: Sequence[float | None]) -> dict[bytes, float]:
    """What is a score: nothing else that stands in Redis, or that a worker sends, may reach an order."""
    pairs = zip(fields, values, strict=True)
    return {field: value for field, value in pairs if value is not None and math.isfinite(value)}


def _arrived(flights: Iterable[Flight], wanted: Collection[bytes]) -> dict[bytes, float]:
    arrived: dict[bytes, float] = {}
    for flight in flights:
        if flight.has_result() and (values := flight.reply.result().values) and len(values) == len(flight.fields):
            arrived |= {field: value for field, value in _known(flight.fields, values).items() if field in wanted}
    return arrived


def _result(future: asyncio.Future[Reply]) -> Reply:
    if future.cancelled():
        raise ScoringTimeout("no reply came")
    return future.result()


def _translated(exc: TimeoutError | ScoringError) -> ScoringError:
    if isinstance(exc, ScoringError):
        return exc
    return ScoringTimeout("the state Redis did not say before the deadline who serves the model")


def _unscored(documents: Sequence[str], failure: ScoringError) -> Scored:
    return Scored(values=[None] * len(documents), failure=failure)
