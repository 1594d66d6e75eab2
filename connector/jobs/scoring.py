"""Chunks to the batch queue and back: stored scores first, then requests of bounded size, sent again when lost.

Beside `connector.scoring.CeleryScorer` this one holds a model fast by its fingerprint, waits without a deadline of
seconds, and notices when a worker that may hold a request is gone.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import redis

from connector.contract import errors, keys, names, wire
from connector.contract.errors import ModelFailed, ScoringError, ScoringTimeout
from connector.contract.wire import Reply, ScoreRequest
from connector.jobs import items, stopping

if TYPE_CHECKING:
    import redis.asyncio

    from connector.scoring.directory import Directory
    from connector.scoring.replies import Replies
    from connector.scoring.sender import Sender

__all__ = ["Asked", "BatchScorer", "Kept", "WorkerLost"]

log = logging.getLogger(__name__)

#: Estimated tokens, and documents, of one request: about one batch of a worker.
MESSAGE_TOKENS = 8192
MESSAGE_DOCUMENTS = 256
#: Requests of one chunk under way at once: two chunks a worker are fewer than the batch requests that it lets wait.
_AT_ONCE = 4
#: Seconds that a request may take, and after which the broker drops it as rubbish.
_BUDGET = 300.0
_EXPIRES = 900.0
#: Seconds between two looks at whether the workers still live.
_LOOK = 0.5


class WorkerLost(ScoringError):
    """A worker that may have held the request is gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One query and its documents, none of them empty."""

    query: str
    documents: Sequence[str]


@dataclass(kw_only=True, slots=True)
class Kept:
    """Scores of a chunk so far, by cache key and field: a second attempt asks for the rest only."""

    scores: dict[tuple[str, bytes], float] = field(default_factory=dict)
    #: Pairs that were stored before the first attempt; None: not looked up yet.
    cached: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Message:
    key: str
    query: str
    fields: tuple[bytes, ...]
    documents: tuple[str, ...]


class BatchScorer:
    """Scores chunks."""

    def __init__(
        self,
        *,
        hasher: keys.Hasher,
        cache: redis.asyncio.Redis,
        directory: Directory,
        replies: Replies,
        sender: Sender,
    ) -> None:
        self.directory = directory
        self._hasher = hasher
        self._cache = cache
        self._replies = replies
        self._sender = sender

    async def score(self, asked: Sequence[Asked], *, fingerprint: str, passages: str, kept: Kept) -> list[list[float]]:
        """The raw scores of every document, query by query.

        Args:
            kept: filled with every score that arrives, also where this raises.

        Raises:
            ScoringError: a worker was lost, failed, or refused; the broker does not answer.
        """
        pairs = [self._pairs(each, fingerprint, passages) for each in asked]
        await self._look_up(pairs, kept)
        limit = asyncio.Semaphore(_AT_ONCE)
        messages = [m for each, found in zip(asked, pairs, strict=True) for m in _messages(each, found, kept)]
        tasks = [asyncio.create_task(self._ask(m, fingerprint, passages, kept, limit)) for m in messages]
        try:
            await asyncio.gather(*tasks)
        finally:
            await stopping.stop(tasks)
        return [[kept.scores[pair] for pair in found] for found in pairs]

    def _pairs(self, asked: Asked, fingerprint: str, passages: str) -> list[tuple[str, bytes]]:
        key = keys.scores_key(fingerprint, passages, self._hasher.query(asked.query))
        return [(key, self._hasher.document(text)) for text in asked.documents]

    async def _look_up(self, pairs: Sequence[Sequence[tuple[str, bytes]]], kept: Kept) -> None:
        """Takes what is stored, in one round trip; without the cache everything is scored."""
        wanted: dict[str, list[bytes]] = {}
        for pair in {pair: None for found in pairs for pair in found if pair not in kept.scores}:
            wanted.setdefault(pair[0], []).append(pair[1])
        try:
            pipeline = self._cache.pipeline(transaction=False)
            for key, fields in wanted.items():
                pipeline.hmget(key, fields)
            stored = cast("list[list[bytes | None]]", await pipeline.execute()) if wanted else []
            for (key, fields), values in zip(wanted.items(), stored, strict=True):
                for name, value in zip(fields, values, strict=True):
                    if value is not None:
                        kept.scores[key, name] = wire.unpack_floats(value)[0]
        except (redis.RedisError, OSError, errors.WireError, IndexError) as exc:
            log.warning("cache_unavailable", extra={"reason": repr(exc)})
        if kept.cached is None:
            kept.cached = sum(pair in kept.scores for found in pairs for pair in found)

    async def _ask(
        self, message: _Message, fingerprint: str, passages: str, kept: Kept, limit: asyncio.Semaphore
    ) -> None:
        async with limit:
            request = ScoreRequest(
                id=uuid.uuid4().hex,
                reply_to=self._replies.connector_id,
                fingerprint=fingerprint,
                passages=passages,
                query=message.query,
                documents=message.documents,
                cache_key=message.key,
                fields=tuple(name.hex() for name in message.fields),
                budget=_BUDGET,
            )
            future = self._replies.expect(request.id)
            try:
                queue = names.queue(fingerprint, names.BATCH)
                await self._sender.send(names.SCORE_TASK, request.encode(), queue=queue, expires=_EXPIRES)
                reply = await self._answer(future, fingerprint)
            finally:
                future.cancel()
        for name, value in zip(message.fields, _values(reply, len(message.fields)), strict=True):
            kept.scores[message.key, name] = value

    async def _answer(self, future: asyncio.Future[Reply], fingerprint: str) -> Reply:
        until = time.monotonic() + _BUDGET
        seen: set[str] = set()
        while not future.done():
            if self.directory.answers:
                live = {beat.id for beat in self.directory.live(fingerprint)}
                if seen - live:
                    raise WorkerLost(f"{', '.join(sorted(seen - live))} went away")
                seen = live
            if time.monotonic() > until:
                raise ScoringTimeout(f"no reply in {_BUDGET:.0f} s")
            await asyncio.wait({future}, timeout=_LOOK)
        return future.result()


def _messages(asked: Asked, pairs: Sequence[tuple[str, bytes]], kept: Kept) -> Iterator[_Message]:
    """Requests for what is not known yet, each pair once."""
    missing: Mapping[tuple[str, bytes], str] = {
        pair: text for pair, text in zip(pairs, asked.documents, strict=True) if pair not in kept.scores
    }
    group: list[tuple[bytes, str]] = []
    cost = 0
    for (key, name), text in missing.items():
        cost += items.tokens(asked.query, text)
        if group and (cost > MESSAGE_TOKENS or len(group) == MESSAGE_DOCUMENTS):
            yield _message(key, asked.query, group)
            group, cost = [], items.tokens(asked.query, text)
        group.append((name, text))
    if group:
        yield _message(pairs[0][0], asked.query, group)


def _message(key: str, query: str, group: Sequence[tuple[bytes, str]]) -> _Message:
    fields, documents = zip(*group, strict=True)
    return _Message(key=key, query=query, fields=fields, documents=documents)


def _values(reply: Reply, count: int) -> Sequence[float]:
    """The reply's numbers.

    Raises:
        ScoringError: of the kind that the worker named.
    """
    if reply.values is not None and len(reply.values) == count:
        return reply.values
    kind, text = reply.error or ("ModelFailed", "a reply of another length than its request")
    error = getattr(errors, kind, ModelFailed)
    raise error(text) if issubclass(error, ScoringError) else ModelFailed(f"{kind}: {text}")
