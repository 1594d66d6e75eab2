"""Options of ours in a request: `rerank_*` URL parameters (and a bare `rerank`), `ext.rerank_bridge` in the body. Pure.

The engines answer 400 to what they do not know, so the options are removed from the searches that we rerank, and only
from those: a site may use a name of its own that looks alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from connector import pieces, splice
from connector.query.asked import SearchRequest

__all__ = ["read", "strip"]

_HEADER = "x-rerank-"
_PARAMETER = "rerank_"
_BODY = "rerank_bridge"


def read(headers: Mapping[str, str], request: SearchRequest) -> dict[str, Any]:
    """The options of a request by name, in lower case with underscores: header before parameter before body.

    `X-Rerank-Min-Hits: 3`, `rerank_min_hits=3` and `{"ext": {"rerank_bridge": {"min_hits": 3}}}` say the same. Values
    of headers and parameters are strings; nothing is checked here. `rerank=false` is the option `rerank`.
    """
    found: dict[str, Any] = dict(_of_body(request.body))
    for name, value in request.params:
        if name == "rerank" or name.startswith(_PARAMETER):
            found[name.removeprefix(_PARAMETER)] = value
    for name, value in headers.items():
        lowered = name.lower()
        if lowered == "x-rerank" or lowered.startswith(_HEADER):
            found[lowered.removeprefix(_HEADER).removeprefix("x-").replace("-", "_")] = value
    return found


def strip(request: SearchRequest) -> SearchRequest:
    """The request without options of ours; the same object where there are none."""
    params = tuple((name, value) for name, value in request.params if not _ours(name))
    body = _without(request.body) if b'"rerank_bridge"' in request.body else request.body
    if params == request.params and body is request.body:
        return request
    return SearchRequest(index=request.index, params=params, body=body)


def _ours(name: str) -> bool:
    return name == "rerank" or name.startswith(_PARAMETER)


def _without(body: bytes) -> bytes:
    try:
        text = pieces.shape(body)
        ext = pieces.members(text).get("ext")
        if ext is None:
            return body
        inner = pieces.members(text, ext.start, ext.end)
        if set(inner) == {_BODY}:
            return splice.update(body, {"ext": None})
        return splice.update(body, {"ext": splice.update(body[ext.start : ext.end], {_BODY: None})})
    except pieces.Unreadable:
        return body


def _of_body(body: bytes) -> Mapping[str, Any]:
    if b'"rerank_bridge"' not in body:
        return {}
    try:
        options = msgspec.json.decode(body)["ext"][_BODY]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return {}
    return options if isinstance(options, Mapping) else {}
