"""What in a search forbids to rerank it. Pure; a reason for every "no"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.query.asked import Asked, is_on, listed
from connector.query.reasons import Reason

__all__ = ["blocker", "pipeline_reranks"]

#: Queries that put documents of their own choice at the top.
_PINNING = frozenset({"pinned", "rule", "rule_query"})
#: Retrievers that order the hits by a model or by hand already.
_RERANKING = frozenset({"text_similarity_reranker", "random_reranker"})
#: Response processors of an OpenSearch search pipeline that a larger window or another order would upset.
_PROCESSORS = frozenset({"rerank", "truncate_hits", "ml_inference", "sort"})


def blocker(asked: Asked) -> Reason | None:
    """The first thing that forbids reranking, or None."""
    return next((reason for reason in (_form(asked), _paging(asked), _order(asked)) if reason), None)


def pipeline_reranks(definition: Mapping[str, Any]) -> bool:
    """Whether an OpenSearch search pipeline reranks, sorts or cuts the hits itself."""
    return any(_PROCESSORS & _keys(processor) for processor in listed(definition.get("response_processors")))


def _form(asked: Asked) -> Reason | None:
    params = asked.params
    if params.get("format", "json").lower() != "json" or is_on(params, "pretty"):
        return Reason.FORMAT
    if "json" not in params.get("source_content_type", "application/json"):
        return Reason.FORMAT
    return Reason.NO_HITS_ASKED if asked.size == 0 else None


def _paging(asked: Asked) -> Reason | None:
    if "scroll" in asked.params:
        return Reason.SCROLL
    if asked.tree.get("search_after"):
        return Reason.SEARCH_AFTER
    return Reason.SLICE if "slice" in asked.tree else None


def _order(asked: Asked) -> Reason | None:
    tree = asked.tree
    if not _sorted_by_score(asked):
        return Reason.SORT
    if _PINNING & _keys(tree.get("query")) or _PINNING & _keys(tree.get("retriever")):
        return Reason.PINNED
    if _RERANKING & _keys(tree.get("retriever")) or _keys(tree.get("rank")) - {"rrf"}:
        return Reason.ALREADY_RERANKED
    if "rerank" in _keys(tree.get("ext")):
        return Reason.ALREADY_RERANKED
    pipeline = tree.get("search_pipeline")
    return Reason.SEARCH_PIPELINE if isinstance(pipeline, Mapping) and pipeline_reranks(pipeline) else None


def _sorted_by_score(asked: Asked) -> bool:
    """Whether the order is by falling score alone.

    A tie-breaker beside it is there for `search_after`, and so is any sort of a point in time, which adds one itself.
    The sort in the URL comes after the body's, and does not take its place.
    """
    in_url, in_body = asked.params.get("sort"), asked.tree.get("sort")
    if (in_url or in_body) and "pit" in asked.tree:
        return False
    return not (in_url and in_body) and _by_score(in_body) and (not in_url or _by_score(in_url))


def _by_score(sort: Any) -> bool:
    if sort is None or sort == []:
        return True
    if isinstance(sort, list):
        return len(sort) == 1 and _by_score(sort[0])
    if isinstance(sort, Mapping):
        return list(sort) == ["_score"] and sort["_score"] in ("desc", {"order": "desc"}, {})
    return sort in ("_score", "_score:desc")


def _keys(value: Any) -> set[str]:
    return set(value) if isinstance(value, Mapping) else set()
