"""What a coordinator is connected to: state, cache, broker, workers, and the engine where one is used."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connector import engines
from connector.contract import env, names
from connector.jobs import stopping
from connector.jobs.scoring import BatchScorer
from connector.scoring.base import Embedder
from connector.settings import Settings

if TYPE_CHECKING:
    import redis.asyncio

    from connector.engines.base import Engine
    from connector.scoring.directory import Directory

__all__ = ["Servers", "connect"]


@dataclass(kw_only=True)
class Servers:
    """Connections of one process. Nothing was asked of them yet: they may come and go."""

    settings: Settings
    state: redis.asyncio.Redis
    directory: Directory
    scorer: BatchScorer
    embedder: Embedder
    _engine: Engine | None = None
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def engine(self) -> Engine:
        """The engine, asked what it is at the first call.

        Raises:
            EngineError: no answer, or a refusal.
        """
        async with self._connecting:
            if self._engine is None:
                known = self.settings
                self._engine = await engines.connect(known.engine_url, ca_file=known.ca_file, api_key=known.api_key)
            return self._engine

    async def close(self) -> None:
        """Lets go of the engine."""
        if self._engine is not None:
            await self._engine.close()


class _InBatch:
    """Embeds queries behind live traffic."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def embed(
        self,
        texts: Sequence[str],
        *,
        deadline: float,
        model: str = "embed",
        lane: names.Lane = names.BATCH,  # noqa: ARG002  the protocol's
    ) -> list[list[float]]:
        """See `Embedder.embed`; the lane is always batch."""
        return await self._embedder.embed(texts, deadline=deadline, model=model, lane=names.BATCH)


@contextlib.asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Servers]:
    """The servers that `settings` name, for this event loop, with what runs beside them."""
    from connector.scoring.celery_embedder import CeleryEmbedder
    from connector.scoring.directory import Directory
    from connector.scoring.replies import Replies
    from connector.scoring.sender import Sender

    urls, hasher = settings.urls, settings.hasher
    clients = [env.async_redis(url) for url in (urls.state, urls.state, urls.cache)]
    state, popping, cache = clients
    directory, reader, sender = Directory(state), Replies(popping, uuid.uuid4().hex), Sender(urls.broker)
    running = [asyncio.create_task(directory.run()), asyncio.create_task(reader.run())]
    embedder = CeleryEmbedder(hasher=hasher, cache=cache, directory=directory, reply_reader=reader, sender=sender)
    servers = Servers(
        settings=settings,
        state=state,
        directory=directory,
        scorer=BatchScorer(hasher=hasher, cache=cache, directory=directory, replies=reader, sender=sender),
        embedder=_InBatch(embedder),
    )
    try:
        yield servers
    finally:
        await servers.close()
        await stopping.stop(running, ask_again=0.1)
        sender.close()
        for client in clients:
            await client.aclose()
