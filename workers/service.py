"""One worker's work on a request: decode, tokenise, wait for the batcher, store write-once, reply."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import redis

from connector.contract import errors, heartbeats, names, passages, scores, wire
from workers.batcher import Batcher, Item
from workers.metrics import Metrics

if TYPE_CHECKING:
    from workers.lanes import Done
    from workers.models.cross_encoder import CrossEncoder
    from workers.models.embed import BiEncoder

__all__ = ["EmbedService", "ScoreService", "Service"]

logger = logging.getLogger(__name__)

#: Seconds that a reply waits for a connector that is gone.
REPLY_LIFETIME = 60


class Service:
    """What both kinds of worker share: the batcher, deadlines, replies."""

    def __init__(self, model: CrossEncoder | BiEncoder, *, alias: str, state: redis.Redis, metrics: Metrics) -> None:
        self.model = model
        self.alias = alias
        self.metrics = metrics
        self.batcher: Batcher[Any]
        self._state = state
        self._id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._started = time.time()
        # Finishes requests that nobody waits for any more, so that they hold no slot.
        self._finisher = ThreadPoolExecutor(2, thread_name_prefix="finisher")

    def start(self) -> None:
        """Starts the batcher."""
        self.metrics.watch(self.batcher.load, self.model.memory)
        self.batcher.start()

    def stop(self) -> None:
        """Finishes what was taken."""
        self.batcher.stop()
        self._finisher.shutdown(wait=True)

    def heartbeat(self) -> heartbeats.Heartbeat:
        """What this worker says about itself now."""
        load = self.batcher.load()
        return heartbeats.Heartbeat(
            id=self._id,
            kind="embed" if self.model.kind == "embed" else "score",
            alias=self.alias,
            fingerprint=self.model.fingerprint,
            model=self.model.name,
            backend=self.model.backend,
            device=self.model.device,
            precision=self.model.precision,
            max_length=self.model.max_length,
            dimensions=self.model.dimensions,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=self._started,
            ms_per_1000_tokens=round(load.ms_per_1000_tokens, 4),
            queue_wait_ms=round(load.queue_wait_ms, 2),
            waiting=load.waiting,
            waiting_tokens=load.waiting_tokens,
            in_flight=load.in_flight,
        )

    def _serve(
        self,
        request: wire.ScoreRequest | wire.EmbedRequest,
        lane: names.Lane,
        items: Callable[[], list[Item]],
        finish: Callable[[Done[Any]], wire.Reply],
    ) -> None:
        """Runs a request and replies; after its deadline it goes on without holding this thread."""
        deadline = time.monotonic() + request.budget
        self.metrics.request(lane)
        try:
            self._check(request.fingerprint)
            future = self.batcher.submit(items(), lane=lane, deadline=deadline)
        except errors.RerankBridgeError as exc:
            self._reply(request, self._failure(request.id, exc))
            return
        concurrent.futures.wait([future], timeout=max(0.0, deadline - time.monotonic()))
        if future.done():
            self._complete(request, future, finish)
            return
        self.metrics.late()
        future.add_done_callback(lambda late: self._later(request, late, finish))

    def _later(
        self,
        request: wire.ScoreRequest | wire.EmbedRequest,
        future: Future[Done[Any]],
        finish: Callable[[Done[Any]], wire.Reply],
    ) -> None:
        self._finisher.submit(self._complete, request, future, finish)

    def _complete(
        self,
        request: wire.ScoreRequest | wire.EmbedRequest,
        future: Future[Done[Any]],
        finish: Callable[[Done[Any]], wire.Reply],
    ) -> None:
        failure = future.exception()
        if failure is None:
            self._reply(request, finish(future.result()))
        else:
            self._reply(request, self._failure(request.id, failure))

    def _check(self, fingerprint: str) -> None:
        if fingerprint != self.model.fingerprint:
            raise errors.NoWorker(f"this worker runs {self.model.fingerprint[:12]}, not {fingerprint[:12]}")

    def _failure(self, request_id: str, exc: BaseException) -> wire.Reply:
        kind = type(exc).__name__ if type(exc).__name__ in errors.__all__ else "ModelFailed"
        self.metrics.error(kind)
        return wire.Reply(id=request_id, error=(kind, str(exc)))

    def _reply(self, request: wire.ScoreRequest | wire.EmbedRequest, reply: wire.Reply) -> None:
        if not request.reply_to:
            return
        key = names.reply_key(request.reply_to)
        try:
            pipeline = self._state.pipeline(transaction=False)
            pipeline.rpush(key, reply.encode())
            pipeline.expire(key, REPLY_LIFETIME)
            pipeline.execute()
        except redis.RedisError as exc:
            self.metrics.error("QueueUnavailable")
            logger.warning("a reply could not be sent: %s", exc)


class ScoreService(Service):
    """Scores pairs with a cross-encoder."""

    model: CrossEncoder

    def __init__(
        self, model: CrossEncoder, *, alias: str, state: redis.Redis, cache: redis.Redis, metrics: Metrics
    ) -> None:
        super().__init__(model, alias=alias, state=state, metrics=metrics)
        self._cache = cache
        model.observe_padding = metrics.padding
        self.batcher = Batcher(self._run, batch_tokens=model.batch_tokens, recheck=self._recheck, observe=metrics.batch)

    def score(self, message: Mapping[str, Any], lane: names.Lane) -> None:
        """Serves one `ScoreRequest`."""
        try:
            request = wire.ScoreRequest.decode(message)
        except errors.WireError as exc:
            _refuse(message, exc, self._reply, self._failure)
            return
        self._serve(request, lane, lambda: self._items(request), lambda done: self._store(request, done))

    def _items(self, request: wire.ScoreRequest) -> list[Item]:
        policy = passages.parse(request.passages)
        rows = self.model.encode(request.query, request.documents, policy)
        return [
            Item(key=(request.cache_key, field), tokens=sum(map(len, group)), payload=(group, policy))
            for field, group in zip(request.fields, rows, strict=True)
        ]

    def _run(self, items: Sequence[Item]) -> list[float | Exception]:
        return self.model.score_groups([item.payload for item in items])

    def _recheck(self, keys: Sequence[Hashable]) -> dict[Hashable, float]:
        """Scores that other workers have stored by now."""
        by_query: dict[str, list[str]] = {}
        for cache_key, field in cast("Sequence[tuple[str, str]]", keys):
            by_query.setdefault(cache_key, []).append(field)
        found: dict[Hashable, float] = {}
        try:
            for cache_key, fields in by_query.items():
                stored = scores.reread(self._cache, cache_key, [bytes.fromhex(field) for field in fields])
                found |= {(cache_key, f): v for f, v in zip(fields, stored, strict=True) if v is not None}
        except (redis.RedisError, errors.WireError) as exc:
            logger.warning("the cache could not be asked again: %s", exc)
        return found

    def _store(self, request: wire.ScoreRequest, done: Done[float]) -> wire.Reply:
        values = done.values
        try:
            fields = [bytes.fromhex(field) for field in request.fields]
            values = scores.write_once(self._cache, request.cache_key, fields, values) if values else values
        except (redis.RedisError, errors.WireError) as exc:
            # Without the cache an answer is still an answer.
            logger.warning("scores could not be stored: %s", exc)
        return wire.Reply(id=request.id, values=tuple(values), queue_s=done.queue_s, score_s=done.score_s)


class EmbedService(Service):
    """Embeds texts with a bi-encoder."""

    model: BiEncoder

    def __init__(self, model: BiEncoder, *, alias: str, state: redis.Redis, metrics: Metrics) -> None:
        super().__init__(model, alias=alias, state=state, metrics=metrics)
        self.batcher = Batcher(self._run, batch_tokens=model.batch_tokens, observe=metrics.batch)

    def embed(self, message: Mapping[str, Any], lane: names.Lane) -> None:
        """Serves one `EmbedRequest`."""
        try:
            request = wire.EmbedRequest.decode(message)
        except errors.WireError as exc:
            _refuse(message, exc, self._reply, self._failure)
            return
        self._serve(request, lane, lambda: self._items(request), lambda done: self._pack(request, done))

    def _items(self, request: wire.EmbedRequest) -> list[Item]:
        rows = self.model.encode(request.texts)
        return [Item(key=t, tokens=len(row), payload=row) for t, row in zip(request.texts, rows, strict=True)]

    def _run(self, items: Sequence[Item]) -> Sequence[Any]:
        return self.model.embed([item.payload for item in items])

    def _pack(self, request: wire.EmbedRequest, done: Done[Any]) -> wire.Reply:
        values = tuple(float(x) for vector in done.values for x in vector)
        width = self.model.dimensions
        return wire.Reply(id=request.id, values=values, width=width, queue_s=done.queue_s, score_s=done.score_s)


def _refuse(
    message: Mapping[str, Any],
    exc: errors.WireError,
    reply: Callable[[Any, wire.Reply], None],
    failure: Callable[[str, BaseException], wire.Reply],
) -> None:
    """Answers a message that cannot be read, as far as it says where its sender waits."""
    logger.error("a request was refused: %s", exc)
    request_id, reply_to = message.get("id"), message.get("reply_to")
    if isinstance(request_id, str) and isinstance(reply_to, str):
        sender = wire.EmbedRequest(id=request_id, reply_to=reply_to, fingerprint="", texts=(), budget=0.0)
        reply(sender, failure(request_id, exc))
