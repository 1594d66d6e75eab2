"""What an index's mapping says: its text fields and its vector fields. Pure, and one request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from connector.contract.errors import EngineRefused
from connector.engines import reasons
from connector.engines.base import Engine

__all__ = ["Schema", "of_index", "read"]

_VECTOR_TYPES = ("dense_vector", "knn_vector")
_TEXT_TYPES = ("text", "match_only_text", "semantic_text")


@dataclass(frozen=True, kw_only=True, slots=True)
class Schema:
    """Field names with their dots, in the mapping's order; sub-fields (`title.english`) are left out."""

    text: tuple[str, ...]
    vector: tuple[str, ...]


def read(mappings: bytes) -> Schema:
    """The schema of a `GET /<index>/_mapping` answer; over several indices the union."""
    indices: Mapping[str, Any] = msgspec.json.decode(mappings)
    fields = [field for index in indices.values() for field in _fields(index.get("mappings", {}), "")]
    return Schema(
        text=tuple(dict.fromkeys(name for name, kind in fields if kind in _TEXT_TYPES)),
        vector=tuple(dict.fromkeys(name for name, kind in fields if kind in _VECTOR_TYPES)),
    )


async def of_index(engine: Engine, index: str) -> Schema:
    """Asks `engine` for the mapping of `index`.

    Raises:
        EngineUnavailable: no answer.
        EngineRefused: the index does not exist, or may not be read.
    """
    response = await engine.request("GET", f"/{quote(index, safe='*,:-_.+')}/_mapping")
    if response.status != 200:
        reason = reasons.of(response.body)
        raise EngineRefused(f"index {index}: {reason}", status=response.status, body=response.body)
    return read(response.body)


def _fields(mapping: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in mapping.get("properties", {}).items():
        yield prefix + name, field.get("type", "object")
        yield from _fields(field, f"{prefix}{name}.")
