"""A search as the client asked for it: URL parameters and body read together, as the engines read them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from connector import pieces
from connector.query.reasons import Reason, Skip

__all__ = ["Asked", "SearchRequest", "is_on", "listed", "read"]

_DEFAULT_SIZE = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchRequest:
    """A `_search` request."""

    #: As the path names it: one name, several, patterns, or empty for all.
    index: str
    #: Query parameters in order, decoded.
    params: tuple[tuple[str, str], ...] = ()
    #: JSON, or empty.
    body: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a search request says."""

    request: SearchRequest
    #: The JSON object of the search: the body, or else the parameter `source`.
    body: bytes
    #: The same, decoded.
    tree: Mapping[str, Any]
    #: The last value of each parameter, which is the one that counts.
    params: Mapping[str, str]
    from_: int
    size: int


def read(request: SearchRequest) -> Asked | Skip:
    """Reads a request; where it cannot be read, the engine shall answer it."""
    params = dict(request.params)
    body, source = request.body.strip(), params.get("source")
    if source is not None and (body or "source_content_type" not in params):
        return Skip(Reason.MALFORMED)  # a 400 of the engine's own
    body = body or (source or "{}").encode(errors="replace")
    try:
        tree = msgspec.json.decode(body)
        pieces.members(body)
    except (msgspec.MsgspecError, pieces.Unreadable, UnicodeDecodeError, RecursionError):
        return Skip(Reason.MALFORMED)
    from_ = _count(params.get("from", tree.get("from", 0)))
    size = _count(params.get("size", tree.get("size", _DEFAULT_SIZE)))
    if from_ is None or size is None:
        return Skip(Reason.MALFORMED)
    return Asked(request=request, body=body, tree=tree, params=params, from_=from_, size=size)


def is_on(params: Mapping[str, str], name: str) -> bool:
    """Whether a boolean URL parameter is given and not `false`; a bare `?pretty` is on."""
    return params.get(name, "false") != "false"


def listed(value: object) -> list[Any]:
    """`value` where it is a list; what the engines refuse in its place holds nothing."""
    return value if isinstance(value, list) else []


def _count(value: object) -> int | None:
    """A paging value; None for what only the engine should judge (-1, 1.5, null)."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
