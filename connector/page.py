"""A `_search` response, taken apart down to its hits by their bytes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from connector import pieces
from connector.pieces import Member, Unreadable

__all__ = ["Hit", "Page", "read"]


#: What stands for no score.
_NO_SCORE = (None, b"null")


class _Head(msgspec.Struct):
    """What is read of a hit; everything else is carried."""

    score: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="_score", default=msgspec.UNSET)
    explanation: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="_explanation", default=msgspec.UNSET)


class _Hits(msgspec.Struct):
    hits: list[msgspec.Raw]


class _Response(msgspec.Struct):
    hits: _Hits


class _Identity(msgspec.Struct):
    """What tells a hit from others."""

    index: str = msgspec.field(name="_index")
    id: str = msgspec.field(name="_id")
    routing: str | None = msgspec.field(name="_routing", default=None)


_heads = msgspec.json.Decoder(_Head)
_responses = msgspec.json.Decoder(_Response)
_identities = msgspec.json.Decoder(_Identity)


class Hit:
    """One hit of a response.

    Attributes:
        raw: the whole object, as the engine sent it.
        score_bytes: `_score` as the engine wrote it; None where it wrote none.
        score: `_score`; None where the engine gave null or none.

    Raises:
        Unreadable: it is no hit.
    """

    __slots__ = ("_head", "_members", "_shape", "raw", "score", "score_bytes")

    def __init__(self, raw: bytes, shape: bytes | None = None) -> None:
        """`shape`: the stand-in for `raw` where that holds lone surrogates (`pieces.shape`)."""
        self.raw = raw
        self._shape = raw if shape is None else shape
        self._members: dict[str, Member] | None = None
        try:
            self._head = _heads.decode(self._shape)
            score = self._head.score
            self.score_bytes = None if score is msgspec.UNSET else bytes(score)
            self.score = None if self.score_bytes in _NO_SCORE else float(self.score_bytes)
        except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
            raise Unreadable(f"a hit cannot be read: {exc}") from exc

    @property
    def is_explained(self) -> bool:
        """Whether it carries an `_explanation`."""
        return self._head.explanation is not msgspec.UNSET

    @property
    def score_span(self) -> tuple[int, int] | None:
        """Start and end of `_score` in `raw`; None where the engine gave null or none."""
        if self.score_bytes is None or self.score is None:
            return None
        span = pieces.value_of(self._shape, "_score", self.score_bytes)
        return span or (self.members["_score"].start, self.members["_score"].end)

    @property
    def members(self) -> dict[str, Member]:
        """Where each member stands in `raw`."""
        if self._members is None:
            self._members = pieces.members(self._shape)
        return self._members

    @property
    def identity(self) -> tuple[str, str, str | None]:
        """Index, id and routing; an id alone is there again in other indices, and in one by custom routing."""
        try:
            found = _identities.decode(self._shape)
        except msgspec.MsgspecError as exc:
            raise Unreadable(f"a hit does not say what it is: {exc}") from exc
        return found.index, found.id, found.routing

    @property
    def fields(self) -> bytes | None:
        """`fields`, or None without them."""
        member = self.members.get("fields")
        return self.raw[member.start : member.end] if member else None


@dataclass(frozen=True)
class Page:
    """A `_search` response, taken apart down to its hits."""

    body: bytes
    #: Where the list of hits begins and ends in `body`.
    listed: tuple[int, int]
    #: The other members of the response and of its `hits`, as offsets into `body`.
    top: Mapping[str, Member]
    outer: Mapping[str, Member]
    hits: tuple[Hit, ...]


def read(body: bytes) -> Page:
    """Takes a `_search` response apart.

    Raises:
        Unreadable: it is none, or not with certainty; it should go back as the engine sent it.
    """
    text, response = _decoded(body)
    top, at = pieces.before(text, "hits")
    outer, start = pieces.before(text, "hits", at)
    raws = [bytes(raw) for raw in response.hits.hits]
    spans, end = pieces.walk(text, start, raws)
    outer_rest, top_rest = pieces.after(text, end, 2)
    if {"hits", *top} & set(top_rest) or {"hits", *outer} & set(outer_rest):
        raise Unreadable("a key is repeated")
    if text is body:
        hits = tuple(Hit(raw) for raw in raws)
    else:
        hits = tuple(Hit(body[a:b], raw) for (a, b), raw in zip(spans, raws, strict=True))
    return Page(body=body, listed=(start, end), top={**top, **top_rest}, outer={**outer, **outer_rest}, hits=hits)


def _decoded(body: bytes) -> tuple[bytes, _Response]:
    """The response, and the text it was read from: `body`, or its stand-in."""
    try:
        return body, _responses.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = pieces.shape(body)
    try:
        return text, _responses.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise Unreadable(str(exc)) from exc
