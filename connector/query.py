"""What is done with a search, decided before it is sent: is it reranked, by which question, over which window. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector import asked as asking
from connector import blockers, discovery, options, retrieval, splice, widening
from connector.asked import Asked, SearchRequest
from connector.reasons import Reason, Skip
from connector.settings import MAX_SIZE, Policy

__all__ = ["Plan", "Reason", "SearchRequest", "Skip", "plan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A search that is reranked."""

    #: The question.
    query: str
    #: Hits of the first stage that are reranked; the same for every page of a search.
    window: int
    #: The client's page.
    from_: int
    size: int
    #: What is sent to the engine in the place of the client's request.
    request: SearchRequest
    #: Fields whose text is read; empty where neither policy nor query tell: those of the mapping.
    fields: tuple[str, ...] = ()
    #: Members that were asked for on top, to be cut from every hit.
    cut: tuple[str, ...] = ()
    #: `filter_path` is in force: nothing may be added to the response.
    filtered: bool = False
    #: Name of the OpenSearch search pipeline asked for; look it up with `blockers.pipeline_reranks`.
    pipeline: str | None = None


def plan(
    request: SearchRequest, policy: Policy, *, query_text: str | None = None, text_fields: Sequence[str] = ()
) -> Plan | Skip:
    """Decides what is done with a search.

    Args:
        query_text: the question, where the request does not say it (a search by vector).
        text_fields: the text fields of the index's mapping, for when neither the policy nor the query names any.
    """
    asked = asking.read(options.strip(request))
    if isinstance(asked, Skip):
        return asked
    found = _question(asked)
    query = " ".join((query_text or found.text).split())
    reason = blockers.blocker(asked) or _reason(asked, query, policy)
    if reason:
        return Skip(reason)
    widened = widening.widen(asked, policy.window, lexical=found.lexical, raise_k=policy.raise_k)
    if asked.from_ >= widened.window:
        return Skip(Reason.BEYOND_WINDOW)
    fields = tuple(policy.text.fields or found.fields or text_fields)
    added = retrieval.retrieval(asked, fields)
    if isinstance(added, Skip):
        return added
    try:
        sent = _rewritten(asked, widened, added)
    except splice.Unreadable:
        return Skip(Reason.MALFORMED)
    pipeline = asked.params.get("search_pipeline", asked.tree.get("search_pipeline"))
    return Plan(
        query=query,
        window=widened.window,
        from_=asked.from_,
        size=asked.size,
        request=sent,
        fields=fields,
        cut=added.cut,
        filtered="filter_path" in asked.params,
        pipeline=pipeline if isinstance(pipeline, str) else None,
    )


def _question(asked: Asked) -> discovery.Found:
    """The question; a `q` in the URL takes the place of the body's query, as it does in the engines."""
    if "q" in asked.params:
        return discovery.of_url(asked.params["q"], asked.params.get("df"))
    return discovery.discover(asked.tree)


def _reason(asked: Asked, query: str, policy: Policy) -> Reason | None:
    if not query:
        return Reason.NO_QUERY_TEXT
    if len(query.split()) < policy.min_query_terms:
        return Reason.SHORT_QUERY
    return Reason.BEYOND_LIMIT if asked.from_ + asked.size > MAX_SIZE else None


def _rewritten(asked: Asked, widened: widening.Widened, added: retrieval.Retrieval) -> SearchRequest:
    """The request with the window in the place of the page. Paging stands in the body only."""
    body = asked.body
    for change in widened.changes:
        body = splice.replace(body, change.path, b"%d" % change.value)
    fetched = min(max(widened.window, asked.from_ + asked.size), MAX_SIZE)
    body = splice.update(body, {"from": b"0", "size": b"%d" % fetched, **added.body})
    replaced: Mapping[str, str | None] = {
        **dict.fromkeys(("from", "size", "source", "source_content_type")),
        **added.params,
    }
    params = [(name, value) for name, value in asked.request.params if name not in replaced]
    params += [(name, value) for name, value in replaced.items() if value is not None]
    return SearchRequest(index=asked.request.index, params=tuple(params), body=body)
