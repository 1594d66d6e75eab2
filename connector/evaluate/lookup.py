"""Documents by id: which of them exist, and their texts as the cross-encoder reads them; from a corpus or an index."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from connector import hits
from connector.engines.base import Engine
from connector.evaluate import beir, sources
from connector.settings import TextTemplate

__all__ = ["from_corpus", "from_index", "unknown"]

#: Ids in one request.
_CHUNK = 1000


def from_corpus(corpus: Path, wanted: Iterable[str], template: TextTemplate) -> dict[str, str | None]:
    """The texts of those `wanted` that are in a corpus.jsonl; None for one without text."""
    ids = set(wanted)
    # The same cut as of a hit's one field: the scores are those of the same text.
    return {
        document.id: hits.clean(document.content[: template.max_chars]).strip() or None
        for document in beir.documents(corpus)
        if document.id in ids
    }


async def from_index(
    engine: Engine, index: str, wanted: Iterable[str], template: TextTemplate, fields: Sequence[str]
) -> dict[str, str | None]:
    """The texts of those `wanted` that are in `index`; None for one without text.

    Raises:
        EngineError: the engine does not answer, or refuses.
    """
    texts: dict[str, str | None] = {}
    for chunk in _chunks(list(wanted)):
        response = await engine.search(index, _ids_body(chunk, source=list(template.fields or fields)))
        found = sources.found_in(response, template, fields, 0.0)
        texts.update(zip(found.ids, found.texts, strict=True))
    return texts


async def unknown(engine: Engine, index: str, ids: Iterable[str]) -> set[str]:
    """Those of `ids` that `index` has no document of.

    Raises:
        EngineError: the engine does not answer, or refuses.
    """
    left = set(ids)
    for chunk in _chunks(sorted(left)):
        response = await engine.search(index, _ids_body(chunk, source=False))
        left.difference_update(sources.found_in(response, TextTemplate(), (), 0.0).ids)
    return left


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]


def _ids_body(ids: Sequence[str], *, source: object) -> bytes:
    # Twice the size: an id may stand in several indices behind one name.
    body: Mapping[str, object] = {"query": {"ids": {"values": list(ids)}}, "size": 2 * len(ids), "_source": source}
    return json.dumps(body).encode()
