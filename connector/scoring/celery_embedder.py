"""Embeds texts on a worker. A query's vector is stored, so that a repeated search sends no task."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

import redis

from connector.contract import keys, names, scores, wire
from connector.contract.errors import ModelFailed, NoWorker, ScoringTimeout, WireError
from connector.contract.wire import EmbedRequest, Reply
from connector.scoring import replies
from connector.scoring import sender as sending

if TYPE_CHECKING:
    import redis.asyncio

    from connector.contract.heartbeats import Heartbeat
    from connector.scoring.directory import Directory
    from connector.scoring.replies import Replies
    from connector.scoring.sender import Sender

__all__ = ["CeleryEmbedder"]

log = logging.getLogger(__name__)


class CeleryEmbedder:
    """Implements `Embedder`."""

    def __init__(
        self,
        *,
        hasher: keys.Hasher,
        cache: redis.asyncio.Redis,
        directory: Directory,
        reply_reader: Replies,
        sender: Sender,
    ) -> None:
        self._hasher = hasher
        self._cache = cache
        self._directory = directory
        self._replies = reply_reader
        self._sender = sender

    async def embed(
        self, texts: Sequence[str], *, deadline: float, model: str = "embed", lane: names.Lane = names.INTERACTIVE
    ) -> list[list[float]]:
        """See `Embedder.embed`. A single interactive text is taken for a query: its vector is stored."""
        is_query = len(texts) == 1 and lane == names.INTERACTIVE
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                worker = await self._directory.resolve(model)
                if worker is None:
                    raise NoWorker(_nobody(model))
                if is_query and (stored := await self._stored(worker, texts[0], deadline)):
                    return [stored]
                if not await self._directory.alive(worker.fingerprint):
                    raise NoWorker(_nobody(model))
                reply = await self._ask(worker, texts, deadline, lane)
        except TimeoutError as exc:
            raise ScoringTimeout("the embedding did not come before the deadline") from exc
        vectors = _rows(replies.numbers(reply), reply.width)
        if len(vectors) != len(texts):
            raise ModelFailed(f"a worker sent {len(vectors)} vectors for {len(texts)} texts")
        if is_query:
            await self._store(worker, texts[0], vectors[0], deadline)
        return vectors

    async def _ask(self, worker: Heartbeat, texts: Sequence[str], deadline: float, lane: names.Lane) -> Reply:
        request = EmbedRequest(
            id=uuid.uuid4().hex,
            reply_to=self._replies.connector_id,
            fingerprint=worker.fingerprint,
            texts=tuple(texts),
            budget=deadline - time.monotonic(),
        )
        future = self._replies.expect(request.id)
        try:
            queue = names.queue(worker.fingerprint, lane)
            # Loading a corpus waits longer than the broker keeps what is rubbish to a search.
            expires = max(sending.EXPIRES, request.budget)
            await self._sender.send(names.EMBED_TASK, request.encode(), queue=queue, expires=expires)
            return await future
        finally:
            future.cancel()

    async def _stored(self, worker: Heartbeat, text: str, deadline: float) -> list[float] | None:
        try:
            async with asyncio.timeout(_patience(deadline)):
                data = await self._cache.get(self._key(worker, text))
            return wire.unpack_floats(data) if isinstance(data, bytes) else None
        except (redis.RedisError, OSError, WireError) as exc:
            log.warning("cache_unavailable", extra={"reason": repr(exc)})
            return None

    async def _store(self, worker: Heartbeat, text: str, vector: Sequence[float], deadline: float) -> None:
        try:
            async with asyncio.timeout(_patience(deadline)):
                await self._cache.set(self._key(worker, text), wire.pack_floats(vector), ex=scores.TTL, nx=True)
        except (redis.RedisError, OSError) as exc:
            log.warning("cache_unavailable", extra={"reason": repr(exc)})

    def _key(self, worker: Heartbeat, text: str) -> str:
        return keys.vector_key(worker.fingerprint, self._hasher.query(text))


def _patience(deadline: float) -> float:
    """Seconds to wait for the cache: one that hangs leaves half of the time to those who do the work."""
    return (deadline - time.monotonic()) / 2


def _rows(flat: list[float], width: int) -> list[list[float]]:
    return [flat[i : i + width] for i in range(0, len(flat), max(1, width))]


def _nobody(model: str) -> str:
    return f"no live worker embeds texts as {model!r}: start one with rerank-bridge worker --kind embed"
