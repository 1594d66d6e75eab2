"""The scorer of production: stored scores first, then one Celery task with the misses, answered on a Redis list."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

import redis

from connector.contract import errors, keys, names, scores
from connector.contract.errors import NoWorker, QueueUnavailable, ScoringError, ScoringTimeout
from connector.contract.wire import Reply, ScoreRequest
from connector.scoring import replies
from connector.scoring.base import Embedder, Scored
from connector.scoring.flights import Flight, Flights

if TYPE_CHECKING:
    import redis.asyncio

    from connector.contract.heartbeats import Heartbeat
    from connector.scoring.admission import Admission
    from connector.scoring.directory import Directory
    from connector.scoring.local import LocalScores
    from connector.scoring.replies import Replies
    from connector.scoring.sender import Sender

__all__ = ["CeleryScorer"]

log = logging.getLogger(__name__)

#: Seconds a reply is still welcome after its request's deadline: late scores serve the next search.
_AFTERLIFE = 60.0
#: Seconds between two looks at whether the workers that we wait for still live.
_LOOK = 1.0


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
        self._admission = admission
        self._hasher = hasher
        self._cache = cache
        self._local = local
        self._replies = reply_reader
        self._sender = sender
        self._embedder = embedder
        self._flights = Flights()

    @property
    def under_way(self) -> int:
        """Pairs that are being scored for this process right now."""
        return len(self._flights)

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
        failure: ScoringError | None = None
        flights: list[Flight] = []
        sent = 0
        if missing:
            request = _Request(worker, key, query, passages, lane, deadline)
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    flights, sent = await self._fly(request, missing)
                await self._land(flights, worker.fingerprint, deadline)
            except TimeoutError:
                failure = ScoringTimeout("the deadline passed while the task was being sent")
            except ScoringError as exc:
                failure = exc
            known |= _arrived(flights, set(missing))
        own = [flight.reply.result() for flight in flights if _has_result(flight)]
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
        if absent:
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    found = _known(absent, await scores.read(self._cache, key, absent))
            except (redis.RedisError, OSError, TimeoutError, errors.WireError) as exc:
                log.warning("cache_unavailable", extra={"reason": repr(exc)})
            else:
                self._local.put(key, found)
                known |= found
        return known

    async def _fly(self, request: _Request, missing: dict[bytes, str]) -> tuple[list[Flight], int]:
        """The flights that will bring `missing`: those under way, and a new one for the rest; how many are new."""
        under_way = self._flights.find(request.key, missing)
        rest = [field for field in missing if field not in under_way]
        flights = list(dict.fromkeys(under_way.values()))
        if rest:
            flights.append(await self._send(request, rest, [missing[field] for field in rest]))
        return flights, int(bool(rest))

    async def _send(self, request: _Request, fields: list[bytes], texts: list[str]) -> Flight:
        fingerprint = request.worker.fingerprint
        if not await self.directory.alive(fingerprint):
            raise NoWorker(f"no live worker serves {request.worker.model} ({fingerprint[:12]})")
        if self._admission:
            self._admission.admit(fingerprint, self.directory.live(fingerprint), request.deadline)
        request_id = uuid.uuid4().hex
        message = ScoreRequest(
            id=request_id,
            reply_to=self._replies.connector_id,
            fingerprint=fingerprint,
            passages=request.passages,
            query=request.query,
            documents=tuple(texts),
            cache_key=request.key,
            fields=tuple(field.hex() for field in fields),
            budget=max(0.0, request.deadline - time.monotonic()),
        )
        flight = Flight(
            key=request.key, fields=tuple(fields), reply=self._replies.expect(request_id), deadline=request.deadline
        )
        self._flights.add(flight)
        if self._admission:
            self._admission.watch(fingerprint, flight.reply, request.deadline)
        # A late reply fills the local cache too. One that never comes is given up, so that nothing piles up.
        late = request.deadline - time.monotonic() + _AFTERLIFE
        giving_up = asyncio.get_running_loop().call_later(late, flight.reply.cancel)
        flight.reply.add_done_callback(lambda _: giving_up.cancel())
        flight.reply.add_done_callback(lambda _: self._keep(flight))
        try:
            queue = names.queue(fingerprint, request.lane)
            await self._sender.send(names.SCORE_TASK, message.encode(), queue=queue)
        except QueueUnavailable as exc:
            _fail(flight, exc)
            raise
        return flight

    async def _land(self, flights: list[Flight], fingerprint: str, deadline: float) -> None:
        """Waits for the flights; gives up at the deadline, or when no worker lives that could answer."""
        waiting = {flight.reply for flight in flights}
        while waiting:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ScoringTimeout("the scores did not come before the deadline")
            done, waiting = await asyncio.wait(waiting, timeout=min(left, _LOOK))
            for future in done:
                replies.numbers(_result(future))
            if waiting and not done and not self.directory.live(fingerprint):
                raise NoWorker("the worker went away while it was scoring")

    def _keep(self, flight: Flight) -> None:
        self._local.put(flight.key, _arrived([flight], set(flight.fields)))


class _Request:
    """One call of `score`, as its helpers need it."""

    __slots__ = ("deadline", "key", "lane", "passages", "query", "worker")

    def __init__(
        self, worker: Heartbeat, key: str, query: str, passages: str, lane: names.Lane, deadline: float
    ) -> None:
        self.worker, self.key, self.query = worker, key, query
        self.passages, self.lane, self.deadline = passages, lane, deadline


def _known(fields: Sequence[bytes], values: Sequence[float | None]) -> dict[bytes, float]:
    """What is a score: nothing else that stands in Redis, or that a worker sends, may reach an order."""
    pairs = zip(fields, values, strict=True)
    return {field: value for field, value in pairs if value is not None and math.isfinite(value)}


def _has_result(flight: Flight) -> bool:
    return flight.reply.done() and not flight.reply.cancelled() and flight.reply.exception() is None


def _arrived(flights: list[Flight], wanted: set[bytes]) -> dict[bytes, float]:
    arrived: dict[bytes, float] = {}
    for flight in flights:
        if _has_result(flight) and (values := flight.reply.result().values) and len(values) == len(flight.fields):
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


def _fail(flight: Flight, exc: ScoringError) -> None:
    """Tells everyone who waits for `flight`; that nobody does is no reason for a warning."""
    if not flight.reply.done():
        flight.reply.set_exception(exc)
        flight.reply.exception()


def _unscored(documents: Sequence[str], failure: ScoringError) -> Scored:
    return Scored(values=[None] * len(documents), failure=failure)
