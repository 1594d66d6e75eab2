"""Loads documents in batches, a few requests at a time, and says of every one what became of it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from connector.contract import names
from connector.contract.errors import QueueUnavailable, RerankBridgeError, Shed
from connector.engines.base import Engine
from connector.indexing import bulk
from connector.indexing.bulk import Backoff, Failure
from connector.indexing.lines import Bad, Document
from connector.scoring.base import Embedder

__all__ = ["Embedding", "Loaded", "load"]

#: Bytes of one request: more is no faster. A larger document goes alone.
_BATCH_BYTES = 5_000_000
#: Requests on their way at once.
_AT_ONCE = 3
#: Documents of one embed task, and so of a batch that is embedded, and the seconds that it may take.
_EMBEDDED = 64
_EMBED_TIMEOUT = 300.0
#: Failures that are kept word for word; more are counted.
MAX_KEPT = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Embedding:
    """Who embeds the documents' text, and the field that the vectors go to."""

    embedder: Embedder
    field: str
    model: str = "embed"


@dataclass(kw_only=True, slots=True)
class Loaded:
    """What has been done so far, and at last in all."""

    #: Documents that the engine took.
    documents: int = 0
    #: Documents that it refused, and lines that were no documents, with the first of each word for word.
    refused: int = 0
    failures: list[Failure] = field(default_factory=list)
    skipped: int = 0
    bad: list[Bad] = field(default_factory=list)
    #: The line, and the offset in bytes, up to which everything is done.
    line: int = 0
    offset: int = 0
    seconds: float = 0.0
    #: The bad line at which reading ended, and what else went wrong before the end.
    stopped_at: Bad | None = None
    error: RerankBridgeError | None = None

    @property
    def per_second(self) -> float:
        """Documents a second."""
        return self.documents / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    documents: list[Document]
    bad: list[Bad]

    def end(self, *, skip_bad: bool) -> Document | Bad | None:
        """The last line that is done with this batch; a bad line is, where it is skipped."""
        lines: list[Document | Bad] = [*self.documents[-1:], *(self.bad[-1:] if skip_bad else ())]
        return max(lines, key=lambda line: line.line, default=None)


async def load(
    engine: Engine,
    index: str,
    items: Iterable[Document | Bad],
    *,
    embedding: Embedding | None = None,
    batch: int = 500,
    skip_bad: bool = False,
    backoff: Backoff | None = None,
    progress: Callable[[Loaded], None] = lambda _: None,
) -> Loaded:
    """Indexes `items` into `index`, which exists. Failures are in the result, never raised: what was done stays done.

    Args:
        items: read in a thread, a batch at a time; at most a few batches are in memory.
        batch: documents a request, fewer where they are embedded.
        skip_bad: go on after a bad line; else everything before it is indexed, and no more.
        progress: called after each batch, in the order of the items: up to its `offset` everything is done.
    """
    loaded, started = Loaded(), time.monotonic()
    count = min(batch, _EMBEDDED) if embedding else batch
    batches = _batches(iter(items), count, skip_bad=skip_bad)
    under_way: deque[tuple[_Batch, asyncio.Task[list[Failure]]]] = deque()
    backoff = backoff or Backoff()
    try:
        while (taken := await asyncio.to_thread(next, batches, None)) is not None:
            sending = _send(engine, index, taken.documents, embedding, backoff)
            under_way.append((taken, asyncio.create_task(sending)))
            if len(under_way) == _AT_ONCE:
                await _settle(under_way, loaded, started, progress, skip_bad=skip_bad)
        while under_way:
            await _settle(under_way, loaded, started, progress, skip_bad=skip_bad)
    except RerankBridgeError as exc:
        loaded.error = exc
    finally:
        await _abandon(under_way)
    loaded.seconds = time.monotonic() - started
    return loaded


async def _settle(
    under_way: deque[tuple[_Batch, asyncio.Task[list[Failure]]]],
    loaded: Loaded,
    started: float,
    progress: Callable[[Loaded], None],
    *,
    skip_bad: bool,
) -> None:
    """Waits for the oldest batch, so that progress is told in order, and adds it up."""
    batch, task = under_way.popleft()
    failures = await task
    loaded.documents += len(batch.documents) - len(failures)
    loaded.refused += len(failures)
    loaded.failures += failures[: MAX_KEPT - len(loaded.failures)]
    if skip_bad:
        loaded.skipped += len(batch.bad)
        loaded.bad += batch.bad[: MAX_KEPT - len(loaded.bad)]
    elif batch.bad:
        loaded.stopped_at = batch.bad[0]
    if (end := batch.end(skip_bad=skip_bad)) is not None:
        loaded.line, loaded.offset = end.line, end.end
    loaded.seconds = time.monotonic() - started
    progress(loaded)


async def _abandon(under_way: deque[tuple[_Batch, asyncio.Task[list[Failure]]]]) -> None:
    tasks = [task for _, task in under_way]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _batches(items: Iterator[Document | Bad], count: int, *, skip_bad: bool) -> Iterator[_Batch]:
    """Cuts `items` into requests; the first bad line ends the last of them, unless bad lines are skipped."""
    documents: list[Document] = []
    bad: list[Bad] = []
    size = 0
    for item in items:
        if isinstance(item, Bad):
            bad.append(item)
            if not skip_bad:
                break
            continue
        if documents and size + len(item.source) > _BATCH_BYTES:
            yield _Batch(documents=documents, bad=bad)
            documents, bad, size = [], [], 0
        documents.append(item)
        size += len(item.source)
        if len(documents) == count:
            yield _Batch(documents=documents, bad=bad)
            documents, bad, size = [], [], 0
    if documents or bad:
        yield _Batch(documents=documents, bad=bad)


async def _send(
    engine: Engine, index: str, documents: list[Document], embedding: Embedding | None, backoff: Backoff
) -> list[Failure]:
    if not documents:
        return []
    if embedding is not None:
        documents = await _embedded(documents, embedding, backoff)
    return await bulk.send(engine, index, documents, backoff=backoff)


async def _embedded(documents: list[Document], embedding: Embedding, backoff: Backoff) -> list[Document]:
    """The documents with their vectors; one without text has none."""
    texts = [document.text for document in documents if document.text]
    vectors = iter(await _vectors(texts, embedding, backoff) if texts else ())
    return [
        bulk.with_vector(document, embedding.field, next(vectors)) if document.text else document
        for document in documents
    ]


async def _vectors(texts: Sequence[str], embedding: Embedding, backoff: Backoff) -> list[list[float]]:
    for attempt in itertools.count():
        deadline = time.monotonic() + _EMBED_TIMEOUT
        try:
            return await embedding.embedder.embed(texts, deadline=deadline, model=embedding.model, lane=names.BATCH)
        except (Shed, QueueUnavailable):
            if attempt >= backoff.attempts - 1:
                raise
        await asyncio.sleep(backoff.wait(attempt))
    raise AssertionError("the last attempt returns or raises")
