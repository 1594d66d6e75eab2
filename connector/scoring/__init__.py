"""Scoring as the main path sees it: a `Scorer` that answers before the deadline, whatever happens behind it."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from connector.contract import env
from connector.scoring.base import Embedder, Scored, Scorer
from connector.settings import LOCAL_SCORES

if TYPE_CHECKING:
    from connector.contract.env import Urls
    from connector.contract.keys import Hasher
    from connector.scoring.admission import Admission
    from connector.scoring.celery_scorer import CeleryScorer

__all__ = ["Embedder", "Scored", "Scorer", "connect"]

#: Seconds a BLPOP may keep the reply connection silent before it counts as broken.
_REPLY_SOCKET_TIMEOUT = 5.0
#: Seconds after which a background task that did not stop is cancelled once more.
_ASK_AGAIN = 0.1


@contextlib.asynccontextmanager
async def connect(
    urls: Urls, hasher: Hasher, *, local_scores: int = LOCAL_SCORES, admission: Admission | None = None
) -> AsyncIterator[CeleryScorer]:
    """A scorer for this event loop, and what runs beside it: the reply reader and the workers' directory.

    Nothing is asked of the servers yet: they may come and go. With `admission`, tasks that would come to nothing are
    not sent.
    """
    from connector.scoring.celery_embedder import CeleryEmbedder
    from connector.scoring.celery_scorer import CeleryScorer
    from connector.scoring.directory import Directory
    from connector.scoring.local import LocalScores
    from connector.scoring.replies import Replies
    from connector.scoring.sender import Sender

    state, popping, cache = (
        env.async_redis(url, socket_timeout=_REPLY_SOCKET_TIMEOUT) for url in (urls.state, urls.state, urls.cache)
    )
    directory, reader, sender = Directory(state), Replies(popping, uuid.uuid4().hex), Sender(urls.broker)
    embedder = CeleryEmbedder(hasher=hasher, cache=cache, directory=directory, reply_reader=reader, sender=sender)
    running = [asyncio.create_task(directory.run()), asyncio.create_task(reader.run())]
    try:
        yield CeleryScorer(
            hasher=hasher,
            cache=cache,
            local=LocalScores(local_scores),
            directory=directory,
            reply_reader=reader,
            sender=sender,
            embedder=embedder,
            admission=admission,
        )
    finally:
        for task in running:
            await _stop(task)
        sender.close()
        for client in (state, popping, cache):
            await client.aclose()


async def _stop(task: asyncio.Task[None]) -> None:
    # A cancellation that arrives together with Redis' answer may be swallowed on the way (Python 3.11): ask again.
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_ASK_AGAIN)
