"""A `_search` response, taken apart down to its hits by their bytes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import msgspec

from connector import splice
from connector.splice import Member, Unreadable

__all__ = ["Hit", "Page", "read"]


class _Head(msgspec.Struct):
    """What is read of a hit; everything else is carried."""

    score: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="_score", default=msgspec.UNSET)
    source: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="_source", default=msgspec.UNSET)
    fields: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Identity(msgspec.Struct):
    """What tells a hit from others."""

    index: str = msgspec.field(name="_index")
    id: str = msgspec.field(name="_id")
    routing: str | None = msgspec.field(name="_routing", default=None)


_heads = msgspec.json.Decoder(_Head)
_identities = msgspec.json.Decoder(_Identity)


@dataclass(frozen=True)
class Hit:
    """One hit of a response."""

    #: The whole object, as the engine sent it.
    raw: bytes
    #: The same, or its stand-in where `raw` holds lone surrogates (`splice.shape`).
    shape: bytes

    @cached_property
    def members(self) -> dict[str, Member]:
        """Where each member stands in `raw`."""
        return splice.members(self.shape)

    @cached_property
    def score_bytes(self) -> bytes | None:
        """`_score` as the engine wrote it; None where it wrote none."""
        raw = self._head.score
        return None if raw is msgspec.UNSET else bytes(raw)

    @cached_property
    def score(self) -> float | None:
        """`_score`; None where the engine gave null or none."""
        text = self.score_bytes
        return None if text is None or text == b"null" else float(text)

    @property
    def identity(self) -> tuple[str, str, str | None]:
        """Index, id and routing; an id alone is there again in other indices, and in one by custom routing."""
        try:
            found = _identities.decode(self.shape)
        except msgspec.MsgspecError as exc:
            raise Unreadable(f"a hit does not say what it is: {exc}") from exc
        return found.index, found.id, found.routing

    @property
    def source(self) -> bytes | None:
        """`_source`, or None without one."""
        return self._piece("_source", self._head.source)

    @property
    def fields(self) -> bytes | None:
        """`fields`, or None without them."""
        return self._piece("fields", self._head.fields)

    @cached_property
    def _head(self) -> _Head:
        try:
            return _heads.decode(self.shape)
        except msgspec.MsgspecError as exc:
            raise Unreadable(str(exc)) from exc

    def _piece(self, name: str, raw: msgspec.Raw | msgspec.UnsetType) -> bytes | None:
        if raw is msgspec.UNSET:
            return None
        if self.raw is self.shape:
            return bytes(raw)
        member = self.members[name]
        return self.raw[member.start : member.end]


@dataclass(frozen=True)
class Page:
    """A `_search` response, taken apart down to its hits."""

    body: bytes
    #: Members of the response and of its `hits`, as offsets into `body`.
    top: Mapping[str, Member]
    outer: Mapping[str, Member]
    hits: tuple[Hit, ...]


def read(body: bytes) -> Page:
    """Takes a `_search` response apart.

    Raises:
        Unreadable: it is none, or not with certainty; it should go back as the engine sent it.
    """
    text = splice.shape(body)
    top = splice.members(text)
    if "hits" not in top:
        raise Unreadable("it has no hits")
    outer = splice.members(text, top["hits"].start, top["hits"].end)
    if "hits" not in outer:
        raise Unreadable("its hits have no list")
    spans = splice.elements(text, outer["hits"].start, outer["hits"].end)
    hits = tuple(_hit(body, text, start, end) for start, end in spans)
    return Page(body=body, top=top, outer=outer, hits=hits)


def _hit(body: bytes, text: bytes, start: int, end: int) -> Hit:
    raw = body[start:end]
    return Hit(raw=raw, shape=raw if text is body else text[start:end])
