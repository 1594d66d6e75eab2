"""First stages that the connector puts together itself: BM25, kNN of an embedded query, and both fused by RRF.

Hybrid search is fused here, so that it needs no licence and no plugin in the engine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from connector import fusion
from connector.engines.base import Engine, EngineResponse
from connector.query import SearchRequest
from connector.scoring.base import Embedder

__all__ = ["FirstStages", "Mode", "bm25_body"]

Mode = Literal["bm25", "knn", "hybrid"]
_Object = dict[str, msgspec.Raw]


def bm25_body(text: str, fields: Sequence[str], *, size: int) -> dict[str, Any]:
    """A `_search` body that matches any word of `text` in `fields` (boosts as in `title^2`)."""
    return {"query": {"multi_match": {"query": text, "fields": list(fields), "type": "most_fields"}}, "size": size}


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstStages:
    """Runs the three kinds of search on one index of one engine."""

    engine: Engine
    index: str
    fields: Sequence[str]
    vector_field: str = "vector"
    embedder: Embedder | None = None
    embed_model: str = "embed"
    #: Seconds that the query's embedding may take.
    embed_timeout: float = 30.0
    #: The constant of RRF.
    rrf_k: int = 60
    #: The `_source` of the searches: vectors are hundreds of numbers that nobody reads.
    source: object = True

    async def request(self, text: str, mode: Mode, *, size: int, window: int) -> SearchRequest:
        """The search for `text`. For `hybrid` it is the BM25 half: pass it to `hybrid` in place of `search`.

        A kNN search finds `window` neighbours, so that there is something to rerank.

        Raises:
            ScoringError: the query could not be embedded.
        """
        body = await self._knn_body(text, window) if mode == "knn" else bm25_body(text, self.fields, size=size)
        whole = body | {"size": size, "_source": self.source}
        return SearchRequest(index=self.index, params=(), body=msgspec.json.encode(whole))

    async def search(self, request: SearchRequest) -> EngineResponse:
        """Sends `request` as it is."""
        return await self.engine.search(request.index, request.body, request.params)

    async def hybrid(self, request: SearchRequest, *, text: str) -> EngineResponse:
        """Sends the BM25 `request` and a kNN search of the same size side by side, and fuses their hits by RRF.

        The response is BM25's (totals, aggregations) with the fused hits in it, cut to the request's size.
        """
        size = int(msgspec.json.decode(request.body).get("size", 10))
        knn_body = await self._knn_body(text, size) | {"_source": self.source}
        lexical, dense = await asyncio.gather(
            self.search(request), self.engine.search(self.index, msgspec.json.encode(knn_body))
        )
        return EngineResponse(
            status=lexical.status,
            headers=lexical.headers,
            body=fused(lexical.body, dense.body, size=size, k=self.rrf_k),
        )

    async def _knn_body(self, text: str, size: int) -> dict[str, Any]:
        if self.embedder is None:
            raise TypeError("a kNN or hybrid search needs an embedder")
        deadline = time.monotonic() + self.embed_timeout
        [vector] = await self.embedder.embed([text], deadline=deadline, model=self.embed_model)
        return self.engine.knn_body(self.vector_field, vector, k=size, size=size, source=self.source)


def fused(lexical: bytes, dense: bytes, *, size: int, k: int) -> bytes:
    """The response `lexical` with the hits of both in RRF order, their `_score` the fused one; sources as they are."""
    response = _object(lexical)
    hits = _object(response["hits"])
    runs = [[_object(hit) for hit in _list(_object(_object(body)["hits"])["hits"])] for body in (lexical, dense)]
    by_identity = {_identity(hit): hit for run in reversed(runs) for hit in run}
    order = fusion.rrf([[_identity(hit) for hit in run] for run in runs], k=k)[:size]
    scored = [by_identity[identity] | {"_score": _number(score)} for identity, score in order]
    hits["max_score"] = _number(order[0][1]) if order else msgspec.Raw(b"null")
    hits["hits"] = msgspec.Raw(msgspec.json.encode(scored))
    response["hits"] = msgspec.Raw(msgspec.json.encode(hits))
    return msgspec.json.encode(response)


def _object(data: bytes | msgspec.Raw) -> _Object:
    return msgspec.json.decode(data, type=_Object)


def _list(data: msgspec.Raw) -> list[msgspec.Raw]:
    return msgspec.json.decode(data, type=list[msgspec.Raw])


def _identity(hit: _Object) -> tuple[bytes, bytes]:
    return bytes(hit["_index"]), bytes(hit["_id"])


def _number(value: float) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
