"""`_msearch` taken apart into its searches, and its response put together again, on bytes. Pure.

items = split(body, index=…, params=…)           one per search; item.request goes through `query.plan`
body = join([item.sending(plan.request), …])     what is sent to the engine
answers = responses(body)                        one `_search` response each, for `merge.read`
body = answered(body, {0: merged, …}, took_ms=…) the others stay as they came
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from connector import pieces, splice
from connector.pieces import Unreadable
from connector.query import SearchRequest
from connector.splice import Edit

__all__ = ["Item", "answered", "join", "responses", "split"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One search of an `_msearch`."""

    #: The header line, which may be empty, as it came.
    header: bytes
    #: The search. `params` are those of the URL, which every item shares, and the header's `preference`.
    request: SearchRequest

    def sending(self, request: SearchRequest) -> Item:
        """The item with another search in its place.

        Of the parameters only a new `preference` is sent, in the header: the others are of the whole `_msearch`.

        Raises:
            Unreadable: the header cannot be taken apart with certainty.
        """
        new, old = dict(request.params).get("preference"), dict(self.request.params).get("preference")
        if new == old or new is None:
            return replace(self, request=request)
        return Item(header=splice.update(self.header, {"preference": msgspec.json.encode(new)}), request=request)


def split(body: bytes, *, index: str, params: Sequence[tuple[str, str]] = ()) -> list[Item]:
    """The searches of a request body.

    Args:
        index: the index expression of the path, for headers that name none.
        params: the parameters of the URL.

    Raises:
        Unreadable: only the engine can say what it means (a missing newline at the end, an odd number of lines, an
            empty first line, which Elasticsearch takes for a header and OpenSearch for nothing).
    """
    lines = body.split(b"\n")
    if lines.pop() or len(lines) % 2 or not lines or not lines[0].strip():
        raise Unreadable("the lines are not pairs of header and search")
    return [_item(header, search, index, params) for header, search in zip(lines[::2], lines[1::2], strict=True)]


def join(items: Iterable[Item]) -> bytes:
    """The request body that holds these searches."""
    return b"".join(b"%b\n%b\n" % (item.header, item.request.body) for item in items)


def responses(body: bytes) -> list[bytes]:
    """The response to each search, in order. One that failed is `{"error": …, "status": …}`.

    Raises:
        Unreadable: it is no `_msearch` response.
    """
    return [body[start:end] for start, end in _spans(body)]


def answered(body: bytes, new: Mapping[int, bytes], *, took_ms: int) -> bytes:
    """The response with those of the searches `new` (by place) replaced, and `took_ms` added to its own `took`.

    Raises:
        Unreadable: it is no `_msearch` response.
    """
    edits = [Edit(start, end, new[place]) for place, (start, end) in enumerate(_spans(body)) if place in new]
    took = pieces.members(pieces.shape(body)).get("took")
    if took and body[took.start : took.end].isdigit():
        edits.append(Edit(took.start, took.end, b"%d" % (int(body[took.start : took.end]) + took_ms)))
    return splice.apply(body, edits)


def _spans(body: bytes) -> list[tuple[int, int]]:
    text = pieces.shape(body)
    found = pieces.members(text).get("responses")
    if found is None:
        raise Unreadable("it has no responses")
    return pieces.elements(text, found.start, found.end)


def _item(header: bytes, search: bytes, index: str, params: Sequence[tuple[str, str]]) -> Item:
    try:
        options: Any = msgspec.json.decode(header) if header.strip() else {}
        named = options.get("index", options.get("indices"))
        preference = options.get("preference")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, AttributeError) as exc:
        raise Unreadable(f"a header cannot be read: {exc}") from exc
    own = ",".join(map(str, named)) if isinstance(named, list) else named
    shared = tuple(params) + ((("preference", preference),) if isinstance(preference, str) else ())
    request = SearchRequest(index=own if isinstance(own, str) and own else index, params=shared, body=search)
    return Item(header=header, request=request)
