"""What the user asked, and of which fields: the text found in a query, of whatever type. Pure.

Texts that only filter or exclude (`filter`, `must_not`, term-level queries) are no question.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from connector.query import syntax
from connector.query.asked import listed

__all__ = ["Clause", "Found", "discover", "of_url"]

#: Deeper than this no query that a person or a program writes goes; engines refuse at 30 levels of bool by default.
_MAX_DEPTH = 40


@dataclass(frozen=True, slots=True)
class Clause:
    """A text in a query."""

    text: str
    #: The fields it is searched in; empty where it does not say (an index default), None where they hold no text
    #: (a vector) or are another document's (a child's).
    fields: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Found:
    """The question of a search."""

    #: The different texts in order, joined by spaces; empty where there is none.
    text: str
    #: The fields searched, without boosts, in order; empty where they cannot be told.
    fields: tuple[str, ...]
    #: Whether some text is searched by its words, not by a vector only.
    lexical: bool


def discover(tree: Mapping[str, Any]) -> Found:
    """The question in a `_search` body: its `query`, `knn` and `retriever`."""
    clauses = [*_query(tree.get("query"), 0), *_knn_section(tree.get("knn")), *_retriever(tree.get("retriever"), 0)]
    return _found(clauses)


def of_url(q: str, default_field: str | None) -> Found:
    """The question of a URL search (`q=`, `df=`)."""
    return _found(list(_query_string({"query": q, "default_field": default_field}, 0)))


def _found(clauses: list[Clause]) -> Found:
    texts = dict.fromkeys(text for clause in clauses if (text := " ".join(clause.text.split())))
    told = [clause.fields for clause in clauses if clause.fields is not None]
    names = [_plain(name) for fields in told for name in fields]
    vague = any(not fields for fields in told) or any(name.strip("*") == "" for name in names)
    fields = () if vague else tuple(dict.fromkeys(name for name in names if not name.startswith("_")))
    return Found(text=" ".join(texts), fields=fields, lexical=bool(told))


def _plain(field: str) -> str:
    """A field's name without its boost."""
    return field.split("^", 1)[0].strip()


def _query(node: Any, depth: int) -> Iterator[Clause]:
    if not isinstance(node, Mapping) or depth > _MAX_DEPTH:
        return
    for kind, body in node.items():
        handler = _HANDLERS.get(kind)
        if handler is not None and isinstance(body, Mapping):
            yield from handler(body, depth + 1)


def _queries(nodes: Any, depth: int) -> Iterator[Clause]:
    for node in nodes if isinstance(nodes, list) else [nodes]:
        yield from _query(node, depth)


def _match(body: Mapping[str, Any], _depth: int) -> Iterator[Clause]:
    """`{field: text}` or `{field: {"query": text}}`."""
    for field, value in body.items():
        text = value.get("query") if isinstance(value, Mapping) else value
        if isinstance(text, str):
            yield Clause(text, (field,))


def _multi_match(body: Mapping[str, Any], _depth: int) -> Iterator[Clause]:
    if isinstance(body.get("query"), str):
        yield Clause(body["query"], _names(body.get("fields")))


def _query_string(body: Mapping[str, Any], _depth: int) -> Iterator[Clause]:
    if isinstance(body.get("query"), str):
        text, named, bare = syntax.lucene(body["query"])
        default = _names(body.get("fields") or body.get("default_field"))
        yield Clause(text, (*named, *default) if default or not bare else ())


def _simple_query_string(body: Mapping[str, Any], _depth: int) -> Iterator[Clause]:
    if isinstance(body.get("query"), str):
        yield Clause(syntax.simple(body["query"]), _names(body.get("fields")))


def _names(fields: Any) -> tuple[str, ...]:
    named = [fields] if isinstance(fields, str) else listed(fields)
    return tuple(name for name in named if isinstance(name, str))


def _intervals(body: Mapping[str, Any], _depth: int) -> Iterator[Clause]:
    for field, rule in body.items():
        match = rule.get("match") if isinstance(rule, Mapping) else None
        if isinstance(match, Mapping) and isinstance(match.get("query"), str):
            yield Clause(match["query"], (field,))


def _bool(body: Mapping[str, Any], depth: int) -> Iterator[Clause]:
    yield from _queries(body.get("must"), depth)
    yield from _queries(body.get("should"), depth)


def _under(*keys: str) -> Callable[[Mapping[str, Any], int], Iterator[Clause]]:
    """A query that wraps others, under one of `keys`."""

    def handler(body: Mapping[str, Any], depth: int) -> Iterator[Clause]:
        for key in keys:
            yield from _queries(body.get(key), depth)

    return handler


def _other_document(body: Mapping[str, Any], depth: int) -> Iterator[Clause]:
    """A child's or parent's text: the question is the same, but the hit does not hold those fields."""
    for clause in _query(body.get("query"), depth):
        yield Clause(clause.text, None)


def _neural(body: Mapping[str, Any], _depth: int) -> Iterator[Clause]:
    """`{vector field: {"query_text": …}}` of OpenSearch, `{field: {"model_text": …}}` of `text_expansion`."""
    for value in body.values():
        if isinstance(value, Mapping):
            text = value.get("query_text", value.get("model_text"))
            if isinstance(text, str):
                yield Clause(text, None)


def _knn(body: Mapping[str, Any], _depth: int) -> Iterator[Clause]:
    builder = body.get("query_vector_builder")
    for inference in builder.values() if isinstance(builder, Mapping) else ():
        if isinstance(inference, Mapping) and isinstance(inference.get("model_text"), str):
            yield Clause(inference["model_text"], None)


def _knn_section(section: Any) -> Iterator[Clause]:
    for body in section if isinstance(section, list) else [section]:
        if isinstance(body, Mapping):
            yield from _knn(body, 0)


def _sparse_vector(body: Mapping[str, Any], _depth: int) -> Iterator[Clause]:
    if isinstance(body.get("query"), str):
        yield Clause(body["query"], None)


def _semantic(body: Mapping[str, Any], _depth: int) -> Iterator[Clause]:
    if isinstance(body.get("query"), str) and isinstance(body.get("field"), str):
        yield Clause(body["query"], (body["field"],))


def _wrapper(body: Mapping[str, Any], depth: int) -> Iterator[Clause]:
    """A query as base64 of its JSON."""
    try:
        yield from _query(msgspec.json.decode(base64.b64decode(body.get("query", ""))), depth)
    except (ValueError, TypeError):
        return


def _retriever(node: Any, depth: int) -> Iterator[Clause]:
    if not isinstance(node, Mapping) or depth > _MAX_DEPTH:
        return
    for kind, body in node.items():
        if not isinstance(body, Mapping):
            continue
        if kind == "knn":
            yield from _knn(body, depth)
        elif isinstance(body.get("query"), str):
            yield Clause(body["query"], _names(body.get("fields")))
        else:
            yield from _query(body.get("query"), depth)
        for inner in listed(body.get("retrievers")):
            yield from _retriever(inner.get("retriever", inner) if isinstance(inner, Mapping) else inner, depth + 1)
        yield from _retriever(body.get("retriever"), depth + 1)


_HANDLERS: dict[str, Callable[[Mapping[str, Any], int], Iterator[Clause]]] = {
    "bool": _bool,
    "boosting": _under("positive"),
    "combined_fields": _multi_match,
    "constant_score": _under("filter"),
    "dis_max": _under("queries"),
    "function_score": _under("query"),
    "has_child": _other_document,
    "has_parent": _other_document,
    "hybrid": _under("queries"),
    "intervals": _intervals,
    "knn": _knn,
    "match": _match,
    "match_bool_prefix": _match,
    "match_phrase": _match,
    "match_phrase_prefix": _match,
    "multi_match": _multi_match,
    "nested": _under("query"),
    "neural": _neural,
    "neural_sparse": _neural,
    "pinned": _under("organic"),
    "query_string": _query_string,
    "rule": _under("organic"),
    "script_score": _under("query"),
    "semantic": _semantic,
    "simple_query_string": _simple_query_string,
    "sparse_vector": _sparse_vector,
    "text_expansion": _neural,
    "wrapper": _wrapper,
}
