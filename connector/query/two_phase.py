"""Two requests in the place of one, where the client's fetch options are costly: ids and text for the whole window,
then highlights, scripts, inner hits and the like for the hits of its page only. Pure.

    first   the client's search without its fetch options, over the window   → totals, aggregations, scores, texts
    second  the client's search, narrowed to the hits of its page            → those hits, as the client asked for them

The second is narrowed by a `post_filter`, which changes neither scores nor what highlights and inner hits come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from connector import pieces, splice
from connector.page import Hit, Page
from connector.query import source_filter
from connector.query.asked import Asked, SearchRequest, is_on
from connector.settings import MAX_SIZE

__all__ = ["arranged", "is_costly", "is_possible", "lightened", "narrowed", "second"]

#: Fetch options that compute something for every hit.
_COSTLY = ("highlight", "script_fields", "explain")
#: All fetch options: what the first request does without.
_FETCH = (*_COSTLY, "docvalue_fields", "fields", "stored_fields", "version", "seq_no_primary_term")
#: What only the first request answers.
_ONCE = ("aggs", "aggregations", "suggest", "profile", "terminate_after")
#: Parameters that the second request cannot keep, beside those.
_NOT_TWICE = ("from", "size", "source", "source_content_type", "track_total_hits")
#: Whole-search forms that take no `post_filter`, or that one would change.
_INDIVISIBLE = ("retriever", "rank", "rescore")


def is_costly(asked: Asked, fetched: int) -> bool:
    """Whether two requests are cheaper: costly fetch options, and at least twice as many hits as the client's page."""
    options = any(asked.tree.get(name) for name in _COSTLY) or is_on(asked.params, "explain")
    return fetched >= 2 * asked.size and (options or any(True for _ in _inner_hits(asked.tree.get("query"), ())))


def is_possible(asked: Asked) -> bool:
    """Whether the second request can be made: the search can be narrowed and its hits told apart."""
    tree = asked.tree
    collapse, query = tree.get("collapse"), tree.get("query")
    if isinstance(collapse, Mapping) and "inner_hits" in collapse:
        return False  # the engines narrow the groups, too
    if any(name in tree for name in _INDIVISIBLE) or (isinstance(query, Mapping) and "hybrid" in query):
        return False
    return "filter_path" not in asked.params and source_filter.read(asked) is not None


def lightened(asked: Asked, body: bytes) -> tuple[bytes, dict[str, str | None]]:
    """The first request: (`body` without its fetch options, parameters to leave out).

    Raises:
        Unreadable: the body cannot be taken apart with certainty.
    """
    for path in list(_inner_hits(asked.tree.get("query"), ("query",))):
        body = splice.replace(body, path, None)
    return splice.update(body, dict.fromkeys(_FETCH)), dict.fromkeys((*_FETCH, *source_filter.PARAMETERS))


def second(asked: Asked, body: bytes) -> SearchRequest:
    """The second request, not yet narrowed: the client's, with `body` for what it asks of the first stage.

    Raises:
        Unreadable: the body cannot be taken apart with certainty.
    """
    # Totals as plain numbers, which inner hits have too, are to be had of searches that count every hit only.
    counted = b"true" if is_on(asked.params, "rest_total_hits_as_int") else b"false"
    body = splice.update(body, {**dict.fromkeys(_ONCE), "from": b"0", "track_total_hits": counted})
    params = tuple((name, value) for name, value in asked.request.params if name not in (*_ONCE, *_NOT_TWICE))
    return SearchRequest(index=asked.request.index, params=params, body=body)


def narrowed(request: SearchRequest, hits: Sequence[Hit]) -> SearchRequest:
    """The second request for these hits.

    Raises:
        Unreadable: a hit does not say what it is.
    """
    by_index: dict[str, list[str]] = {}
    for hit in hits:
        index, id_, _ = hit.identity
        by_index.setdefault(index, []).append(id_)
    either = [
        {"bool": {"filter": [{"term": {"_index": index}}, {"ids": {"values": ids}}]}} for index, ids in by_index.items()
    ]
    wanted = msgspec.json.encode({"bool": {"should": either}})
    text = pieces.shape(request.body)
    own = pieces.members(text).get("post_filter")
    if own is not None:
        wanted = b'{"bool":{"filter":[%b,%b]}}' % (request.body[own.start : own.end], wanted)
    size = min(2 * len(hits) + 10, MAX_SIZE)  # with custom routing an id may be there twice
    body = splice.update(request.body, {"post_filter": wanted, "size": b"%d" % size})
    return SearchRequest(index=request.index, params=request.params, body=body)


def arranged(hits: Sequence[Hit], page: Page) -> list[Hit]:
    """The hits of the second response in the order of `hits`.

    Raises:
        Unreadable: one is missing (deleted in between), or cannot be told from another.
    """
    found = {hit.identity: hit for hit in page.hits}
    if len(found) < len(page.hits) or len({hit.identity for hit in hits}) < len(hits):
        raise pieces.Unreadable("two hits of the page look alike")
    missing = next((hit.identity for hit in hits if hit.identity not in found), None)
    if missing:
        raise pieces.Unreadable(f"the second request did not find {missing[1]!r} again")
    return [found[hit.identity] for hit in hits]


def _inner_hits(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Where `inner_hits` stand in a query."""
    if isinstance(node, list):
        for index, element in enumerate(node):
            yield from _inner_hits(element, (*path, index))
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key == "inner_hits":
                yield (*path, key)
            else:
                yield from _inner_hits(value, (*path, key))
