"""What is done with a search, decided before it is sent: is it reranked, by which question, over which window. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector import pieces, splice
from connector.query import asked as asking
from connector.query import blockers, discovery, options, preference, retrieval, two_phase, widening
from connector.query.asked import Asked, SearchRequest
from connector.query.reasons import Reason, Skip
from connector.settings import MAX_SIZE, Policy

__all__ = ["Plan", "plan"]

#: Parameters whose meaning the rewritten body carries.
_PAGING = ("from", "size", "source", "source_content_type")


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
    #: `filter_path` names pieces of a hit: nothing may be added to the response, and a hit with none of them is no hit.
    filtered: bool = False
    #: The client's fetch options are costly: `request` does without them, and this one, once narrowed to the hits of
    #: the client's page (`connector.query.two_phase`), brings those.
    second: SearchRequest | None = None
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
    try:
        return _decided(options.strip(request), policy, query_text, text_fields)
    except (pieces.Unreadable, RecursionError):
        return Skip(Reason.MALFORMED)


def _decided(request: SearchRequest, policy: Policy, query_text: str | None, text_fields: Sequence[str]) -> Plan | Skip:
    asked = asking.read(request)
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
    fetched = min(max(widened.window, asked.from_ + asked.size), MAX_SIZE)
    added = retrieval.retrieval(asked, fields)
    twice = two_phase.is_possible(asked) and (isinstance(added, Skip) or two_phase.is_costly(asked, fetched))
    if twice:
        return _plan(asked, query, fields, widened, fetched, None)
    return added if isinstance(added, Skip) else _plan(asked, query, fields, widened, fetched, added)


def _plan(
    asked: Asked,
    query: str,
    fields: tuple[str, ...],
    widened: widening.Widened,
    fetched: int,
    added: retrieval.Retrieval | None,
) -> Plan:
    """The plan of one request, or of two where nothing can be added to it."""
    body = asked.body
    for change in widened.changes:
        body = splice.replace(body, change.path, b"%d" % change.value)
    dropped: Mapping[str, str | None] = {}
    second = None
    if added is None:
        second = two_phase.second(asked, body)
        body, dropped = two_phase.lightened(asked, body)
        added = retrieval.hidden_source(fields)
    body = splice.update(body, {"from": b"0", "size": b"%d" % fetched, **added.body})
    replaced = {**dict.fromkeys(_PAGING), **dropped, **added.params, **preference.stable(asked, query)}
    pipeline = asked.params.get("search_pipeline", asked.tree.get("search_pipeline"))
    return Plan(
        query=query,
        window=widened.window,
        from_=asked.from_,
        size=asked.size,
        request=SearchRequest(index=asked.request.index, params=_params(asked, replaced), body=body),
        fields=fields,
        cut=() if second else added.cut,
        filtered=added.filtered,
        second=second,
        pipeline=pipeline if isinstance(pipeline, str) else None,
    )


def _params(asked: Asked, replaced: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    kept = [(name, value) for name, value in asked.request.params if name not in replaced]
    return (*kept, *((name, value) for name, value in replaced.items() if value is not None))


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
