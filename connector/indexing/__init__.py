"""Bulk loading of documents into an engine: from JSON lines by the command, from mappings by programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from connector import templates
from connector.contract.errors import EngineRefused, InputError
from connector.engines.base import Engine
from connector.indexing import lines
from connector.indexing.bulk import Backoff, Failure
from connector.indexing.lines import Bad, Document, Shape
from connector.indexing.loading import Embedding, Loaded, load

__all__ = ["Backoff", "Bad", "Document", "Embedding", "Failure", "Loaded", "Shape", "index", "load", "refresh"]


async def index(engine: Engine, rows: Iterable[Mapping[str, Any]], *, index: str, shape: Shape | None = None) -> Loaded:
    """Indexes `rows`, mappings with an `_id`, into `index`, which is created when it is not there; then all are found.

    Raises:
        EngineError: no answer, or a document was refused: every other one is indexed.
        InputError: a row without an id, or that is no JSON object; what stands before it is indexed.
    """
    shape = shape or Shape()
    await templates.create_index(engine, index, text_fields=shape.text_fields)
    loaded = await load(engine, index, lines.rows(rows, shape))
    await refresh(engine, index)
    if loaded.error:
        raise loaded.error
    if loaded.stopped_at:
        raise InputError.at("rows", loaded.stopped_at.line, loaded.stopped_at.problem)
    if loaded.failures:
        first = loaded.failures[0]
        raise EngineRefused(
            f"{loaded.refused} documents of {index} refused; first {first.id}: {first.reason}", status=400
        )
    return loaded


async def refresh(engine: Engine, index: str) -> None:
    """Makes everything that was indexed findable.

    Raises:
        EngineError: no answer, or a refusal.
    """
    response = await engine.request("POST", f"/{quote(index, safe='')}/_refresh", timeout=120)
    if not 200 <= response.status < 300:
        raise engine.refused(f"refreshing {index}", response)
