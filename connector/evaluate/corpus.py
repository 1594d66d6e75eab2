"""A collection in the engine: one index a corpus, named by a digest of what is in it, and found again the next time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.contract.errors import EngineRefused, InputError
from connector.engines import reasons
from connector.engines.base import Engine, EngineResponse
from connector.evaluate import beir
from connector.evaluate.beir import Folder
from connector.evaluate.request import Narrator
from connector.indexing import lines, loading
from connector.indexing.lines import Shape
from connector.indexing.loading import Embedding
from connector.scoring.base import Embedder

__all__ = ["TEXT", "VECTOR", "Vectors", "ensure"]

TEXT, VECTOR = "text", "vector"
PREFIX = "rerank-bridge-eval-"
#: One field of title and text with English stemming, and the BM25 of the published figures.
_SETTINGS: Mapping[str, Any] = {
    "number_of_shards": 1,
    "number_of_replicas": 0,
    "refresh_interval": "-1",
    "similarity": {"default": {"type": "BM25", "k1": 0.9, "b": 0.4}},
}
_TEXT_FIELD: Mapping[str, Any] = {"type": "text", "analyzer": "english"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Vectors:
    """The bi-encoder that a kNN or hybrid first stage searches with."""

    embedder: Embedder
    fingerprint: str
    dimensions: int


async def ensure(engine: Engine, folder: Folder, vectors: Vectors | None, narrator: Narrator) -> str:
    """The name of an index that holds the whole of `folder`; made, or made anew where an earlier attempt was cut short.

    Raises:
        InputError: a document that the engine does not take.
        EngineError: the engine does not answer, or refuses.
        ScoringError: a document could not be embedded.
    """
    body = _body(engine, vectors)
    made_of = json.dumps([folder.digest, vectors and vectors.fingerprint, body], sort_keys=True)
    index = PREFIX + hashlib.sha256(made_of.encode()).hexdigest()[:16]
    if await _complete(engine, index):
        return index
    await _call(engine, "DELETE", f"/{index}", missing_is_fine=True)
    await _call(engine, "PUT", f"/{index}", body)
    with narrator.bar("Indexing", folder.size) as advance:
        await _load(engine, index, folder, vectors, advance)
    await _call(engine, "POST", f"/{index}/_refresh")
    # Written last: an index without it is one that an evaluation left half done.
    await _call(engine, "PUT", f"/{index}/_mapping", {"_meta": {"complete": True, "data": folder.name}})
    return index


def _body(engine: Engine, vectors: Vectors | None) -> dict[str, Any]:
    properties: dict[str, Any] = {TEXT: _TEXT_FIELD}
    settings = dict(_SETTINGS)
    if vectors and engine.name == "opensearch":
        settings["knn"] = True
        method = {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"}
        properties[VECTOR] = {"type": "knn_vector", "dimension": vectors.dimensions, "method": method}
    elif vectors:
        properties[VECTOR] = {
            "type": "dense_vector",
            "dims": vectors.dimensions,
            "index": True,
            "similarity": "cosine",
            # Exact values: what is judged is the bi-encoder, not the engine's quantisation of its vectors.
            "index_options": {"type": "hnsw"},
        }
    return {"settings": {"index": settings}, "mappings": {"dynamic": "strict", "properties": properties}}


async def _complete(engine: Engine, index: str) -> bool:
    response = await engine.request("GET", f"/{index}/_mapping")
    if response.status == 404:
        return False
    _check(response, f"asking for index {index}")
    meta = json.loads(response.body)[index]["mappings"].get("_meta", {})
    return bool(meta.get("complete"))


async def _load(
    engine: Engine, index: str, folder: Folder, vectors: Vectors | None, progress: Callable[[int], None]
) -> None:
    rows = ({"_id": document.id, TEXT: document.content} for document in beir.documents(folder.corpus))
    loaded = await loading.load(
        engine,
        index,
        lines.rows(rows, Shape(text_fields=(TEXT,))),
        embedding=Embedding(embedder=vectors.embedder, field=VECTOR) if vectors else None,
        progress=lambda so_far: progress(so_far.documents),
    )
    if loaded.error:
        raise loaded.error
    if loaded.stopped_at:
        raise InputError(f"{folder.corpus}, document {loaded.stopped_at.line}: {loaded.stopped_at.problem}")
    if loaded.failures:
        first = loaded.failures[0]
        raise InputError(f"{folder.corpus}: the engine refused document {first.id!r}: {first.reason}")


async def _call(
    engine: Engine, method: str, path: str, body: Mapping[str, Any] | None = None, *, missing_is_fine: bool = False
) -> None:
    response = await engine.request(method, path, body=None if body is None else json.dumps(body).encode())
    if not (missing_is_fine and response.status == 404):
        _check(response, f"{method} {path}")


def _check(response: EngineResponse, what: str) -> None:
    if not 200 <= response.status < 300:
        raise EngineRefused(
            f"{what}: {response.status}, {reasons.of(response.body)}", status=response.status, body=response.body
        )
