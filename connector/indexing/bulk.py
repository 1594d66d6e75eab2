"""Sends one batch of documents by `_bulk`: what is too much only for now is tried again, what is refused is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from connector.contract.errors import EngineUnavailable
from connector.engines import reasons
from connector.engines.base import Engine, EngineResponse
from connector.indexing.lines import Document

__all__ = ["Backoff", "Failure", "send", "with_vector"]

#: Seconds for one bulk request: an engine that merges segments may be slow and right.
_TIMEOUT = 120.0
#: Answers that mean "later".
_BUSY = frozenset({429, 502, 503, 504})
#: Answers to a whole request that one document in it may be the cause of.
_DIVIDED = frozenset({400, 413})


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """Waits between attempts: full jitter under an exponential bound (Brooker 2015), in seconds."""

    attempts: int = 9
    first: float = 0.2
    longest: float = 10.0

    def wait(self, attempt: int) -> float:
        """Seconds after failed attempt number `attempt`, counted from 0."""
        return random.uniform(0, min(self.longest, self.first * 2**attempt))


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A document that the engine did not take."""

    line: int
    id: str
    reason: str


async def send(
    engine: Engine, index: str, documents: Sequence[Document], *, backoff: Backoff, upsert: bool = False
) -> list[Failure]:
    """Indexes `documents` by their ids and returns those that were refused. To send them again changes nothing.

    Args:
        upsert: leave members of documents that are there already and that the new ones do not have.

    Raises:
        EngineUnavailable: no answer, attempt after attempt.
        EngineRefused: the request as a whole was refused, or the engine stayed busy.
    """
    failures: list[Failure] = []
    waiting = list(documents)
    for attempt in range(backoff.attempts):
        last = attempt == backoff.attempts - 1
        try:
            response = await _request(engine, index, waiting, upsert=upsert)
        except EngineUnavailable:
            if last:
                raise
        else:
            if response.status == 200:
                busy, refused = _sorted_out(waiting, response.body)
                failures += refused
                waiting = [document for document, _ in busy]
                if not waiting:
                    return failures
                if last:
                    return failures + [_failure(document, reason) for document, reason in busy]
            elif response.status in _DIVIDED:
                return failures + await _divided(engine, index, waiting, response, backoff, upsert=upsert)
            elif response.status not in _BUSY or last:
                raise engine.refused(f"indexing into {index}", response)
        await asyncio.sleep(backoff.wait(attempt))
    raise AssertionError("the last attempt returns or raises")


def with_vector(document: Document, field: str, vector: Sequence[float]) -> Document:
    """`document` with one more member."""
    member = msgspec.json.encode({field: vector})
    source = member if document.source == b"{}" else document.source[:-1] + b"," + member[1:]
    return Document(id=document.id, source=source, text=document.text, line=document.line, end=document.end)


async def _request(engine: Engine, index: str, documents: Sequence[Document], *, upsert: bool) -> EngineResponse:
    lines = []
    for document in documents:
        source = b'{"doc":%b,"doc_as_upsert":true}' % document.source if upsert else document.source
        lines += [msgspec.json.encode({"update" if upsert else "index": {"_id": document.id}}), source]
    return await engine.request(
        "POST",
        f"/{quote(index, safe='')}/_bulk",
        params=[("filter_path", "errors,items.*.status,items.*.error")],
        body=b"\n".join(lines) + b"\n",
        content_type="application/x-ndjson",
        timeout=_TIMEOUT,
    )


async def _divided(
    engine: Engine,
    index: str,
    documents: Sequence[Document],
    response: EngineResponse,
    backoff: Backoff,
    *,
    upsert: bool,
) -> list[Failure]:
    """Halves the request until the document stands alone that it was refused for."""
    if len(documents) == 1:
        return [_failure(documents[0], reasons.of(response.body) or f"refused with {response.status}")]
    middle = len(documents) // 2
    first = await send(engine, index, documents[:middle], backoff=backoff, upsert=upsert)
    return first + await send(engine, index, documents[middle:], backoff=backoff, upsert=upsert)


def _sorted_out(documents: Sequence[Document], body: bytes) -> tuple[list[tuple[Document, str]], list[Failure]]:
    """The documents that may be tried again with the engine's reason, and those that are refused for good."""
    answer: dict[str, Any] = msgspec.json.decode(body)
    busy, refused = [], []
    if answer["errors"]:
        for document, item in zip(documents, answer["items"], strict=True):
            (result,) = item.values()
            if "error" not in result:
                continue
            reason = reasons.of_error(result["error"])
            if result["status"] in _BUSY:
                busy.append((document, reason))
            else:
                refused.append(_failure(document, reason))
    return busy, refused


def _failure(document: Document, reason: str) -> Failure:
    return Failure(line=document.line, id=document.id, reason=reason)
