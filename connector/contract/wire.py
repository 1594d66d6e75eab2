"""The messages between connector and workers: JSON-able mappings with a version, decoded into frozen values.

Requests travel as the single argument of a Celery task (JSON serializer). A reply is one JSON string pushed onto the
list that the request names. Arrays of numbers travel as base64 of little-endian float32, so that a score is the same
4 bytes in the reply and in the cache.
"""

from __future__ import annotations

import base64
import binascii
import json
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connector.contract.errors import WireError

__all__ = ["VERSION", "EmbedRequest", "Reply", "ScoreRequest", "pack_floats", "unpack_floats"]

VERSION: Final = 1


def pack_floats(values: Sequence[float]) -> bytes:
    """`values` as little-endian float32, 4 bytes each."""
    packed = array("f", values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_floats(data: bytes) -> list[float]:
    """The inverse of `pack_floats`.

    Raises:
        WireError: the length is not a multiple of four.
    """
    if len(data) % 4:
        raise WireError(f"an array of float32 has {len(data)} bytes, which is not a multiple of 4")
    unpacked = array("f")
    unpacked.frombytes(data)
    if sys.byteorder == "big":
        unpacked.byteswap()
    return unpacked.tolist()


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRequest:
    """One query and the documents to score against it. Sent as the argument of `names.SCORE_TASK`."""

    id: str
    #: Id of the connector process that waits; empty where nobody waits (the scores go to the cache only).
    reply_to: str
    #: The full fingerprint of the model that must score this; a worker of another model refuses.
    fingerprint: str
    #: Passage policy, part of the cache key: "truncate" or one of the long-document policies.
    passages: str
    query: str
    documents: tuple[str, ...]
    #: Cache hash of (fingerprint, passages, query) and, per document, its field as 16 hexadecimal digits.
    cache_key: str
    fields: tuple[str, ...]
    #: Seconds left when the request was sent. Never a wall-clock instant.
    budget: float

    def encode(self) -> dict[str, Any]:
        """The JSON-able task argument."""
        return {
            "v": VERSION,
            "id": self.id,
            "reply_to": self.reply_to,
            "fingerprint": self.fingerprint,
            "passages": self.passages,
            "query": self.query,
            "documents": list(self.documents),
            "cache_key": self.cache_key,
            "fields": "".join(self.fields),
            "budget": self.budget,
        }

    @classmethod
    def decode(cls, message: Mapping[str, Any]) -> ScoreRequest:
        """The inverse of `encode`.

        Raises:
            WireError: another version, a missing key, or as many fields as there are documents is not so.
        """
        _check_version(message)
        try:
            fields = message["fields"]
            request = cls(
                id=message["id"],
                reply_to=message["reply_to"],
                fingerprint=message["fingerprint"],
                passages=message["passages"],
                query=message["query"],
                documents=tuple(message["documents"]),
                cache_key=message["cache_key"],
                fields=tuple(fields[i : i + 16] for i in range(0, len(fields), 16)),
                budget=float(message["budget"]),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise WireError(f"a score request cannot be read: {exc!r}") from exc
        if len(request.fields) != len(request.documents):
            raise WireError(f"a score request has {len(request.documents)} documents and {len(request.fields)} fields")
        return request


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedRequest:
    """Texts to embed with a bi-encoder. Sent as the argument of `names.EMBED_TASK`."""

    id: str
    reply_to: str
    fingerprint: str
    texts: tuple[str, ...]
    budget: float

    def encode(self) -> dict[str, Any]:
        """The JSON-able task argument."""
        return {
            "v": VERSION,
            "id": self.id,
            "reply_to": self.reply_to,
            "fingerprint": self.fingerprint,
            "texts": list(self.texts),
            "budget": self.budget,
        }

    @classmethod
    def decode(cls, message: Mapping[str, Any]) -> EmbedRequest:
        """The inverse of `encode`.

        Raises:
            WireError: another version or a missing key.
        """
        _check_version(message)
        try:
            return cls(
                id=message["id"],
                reply_to=message["reply_to"],
                fingerprint=message["fingerprint"],
                texts=tuple(message["texts"]),
                budget=float(message["budget"]),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise WireError(f"an embed request cannot be read: {exc!r}") from exc


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a worker answers: numbers, or an error. Exactly one of `values` and `error` is set."""

    id: str
    #: Row-major float32: one score a document (`width` 1), or one vector a text (`width` = dimensions).
    values: tuple[float, ...] | None = None
    width: int = 1
    #: An exception name of `errors` and its message.
    error: tuple[str, str] | None = None
    #: Seconds between the task's arrival in the worker and the start of its batch, and of the model's work.
    queue_s: float = 0.0
    score_s: float = 0.0

    def encode(self) -> bytes:
        """The JSON pushed onto the connector's reply list."""
        values = None if self.values is None else base64.b64encode(pack_floats(self.values)).decode()
        return json.dumps(
            {
                "v": VERSION,
                "id": self.id,
                "values": values,
                "width": self.width,
                "error": self.error,
                "queue_s": round(self.queue_s, 6),
                "score_s": round(self.score_s, 6),
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Reply:
        """The inverse of `encode`.

        Raises:
            WireError: not JSON, another version, or a missing key.
        """
        try:
            message = json.loads(data)
            _check_version(message)
            values = message["values"]
            return cls(
                id=message["id"],
                values=None if values is None else tuple(unpack_floats(base64.b64decode(values, validate=True))),
                width=message["width"],
                error=None if message["error"] is None else (message["error"][0], message["error"][1]),
                queue_s=message["queue_s"],
                score_s=message["score_s"],
            )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, binascii.Error) as exc:
            raise WireError(f"a reply cannot be read: {exc!r}") from exc


def _check_version(message: Mapping[str, Any]) -> None:
    version = message.get("v")
    if version != VERSION:
        raise WireError(
            f"a message has version {version!r}, this side speaks {VERSION}: run one release of connector and workers"
        )
