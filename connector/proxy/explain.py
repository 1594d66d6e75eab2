"""What the proxy would do with a request, and why, without sending anything: the same decisions, told. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from connector import msearch, pieces, query
from connector.contract.errors import ConfigurationError
from connector.policies import Different, Policies
from connector.proxy import incoming, overrides
from connector.query import SearchRequest, Skip, options

__all__ = ["Explanation", "Written", "explain", "read"]

_HEADER = re.compile(r"([A-Za-z0-9-]+):[ \t]*(.*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A request as it stands in a file."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What would be done with one search."""

    #: `reranked`, `shadow`, `skipped`, `off`, or `passed_through` for what is no search.
    decision: str
    #: Why not, for programs (`connector.query.Reason` where the request itself is the reason) and in words.
    reason: str = ""
    sentence: str = ""
    #: What else is decided at run time.
    notes: tuple[str, ...] = ()
    index: str | None = None
    model: str | None = None
    query: str | None = None
    fields: tuple[str, ...] = ()
    window: int | None = None
    from_: int | None = None
    size: int | None = None
    #: Requests to the engine, as method-less `{"index", "params", "body"}`.
    sent: tuple[Mapping[str, Any], ...] = ()
    #: Members that are asked for on top and cut from every hit.
    cut: tuple[str, ...] = ()


def read(text: str) -> Written:
    """Reads `POST /index/_search?params`, header lines if any, an empty line if any, and the body.

    Raises:
        ConfigurationError: the first line is no request line.
    """
    lines = text.lstrip("\ufeff\r\n").split("\n")
    method, _, target = lines[0].strip().partition(" ")
    target = target.split(" ")[0]  # `HTTP/1.1` may follow
    if not method.isalpha() or not target:
        raise ConfigurationError(f"the first line should be like `POST /index/_search`, not {lines[0][:80]!r}")
    parts = urlsplit(target)
    path = parts.path if parts.path.startswith("/") else f"/{parts.path}"
    rest = 1
    headers: dict[str, str] = {}
    while rest < len(lines) and (match := _HEADER.fullmatch(lines[rest].strip())):
        headers[match[1].lower()] = match[2]
        rest += 1
    if rest < len(lines) and not lines[rest].strip():
        rest += 1
    query_string = f"?{parts.query}" if parts.query else ""
    body = "\n".join(lines[rest:]).encode(errors="surrogateescape")
    return Written(method=method.upper(), target=path + query_string, headers=headers, body=body)


def explain(written: Written, policies: Policies) -> list[Explanation]:
    """What would be done with the request: one explanation, or one for each search of an `_msearch`."""
    target = incoming.target_of(written.method, written.target.encode(errors="replace"))
    if target is None:
        return [Explanation(decision="passed_through", sentence="it is neither _search nor _msearch")]
    try:
        params = incoming.parameters(written.target.encode("ascii", errors="replace"))
        if target.api == "_search":
            searches = [SearchRequest(index=target.index, params=params, body=written.body)]
        else:
            items = msearch.split(written.body, index=target.index, params=params)
            searches = [item.request for item in items]
    except (incoming.Unreadable, pieces.Unreadable) as exc:
        return [Explanation(decision="skipped", reason="unreadable", sentence=str(exc))]
    return [_explained(search, written.headers, policies) for search in searches]


def _explained(search: SearchRequest, headers: Mapping[str, str], policies: Policies) -> Explanation:
    rule = policies.of(search.index)
    if rule is None:
        return _not(search, "off", "no_policy", "no rule of the policies is for this index")
    if isinstance(rule, Different):
        return _not(search, "skipped", "different_policies", "the indices have different policies")
    try:
        policy = overrides.policy_of(rule, options.read(headers, search))
    except overrides.Unusable as exc:
        return _not(search, "skipped", "unusable_option", str(exc))
    if policy.mode == "off":
        return _not(search, "off", "policy", "switched off by the policy or by the request")
    plan = query.plan(search, policy)
    if isinstance(plan, Skip):
        return _not(search, "skipped", plan.reason.value, plan.sentence)
    requests = [plan.request, *([plan.second] if plan.second else [])]
    return Explanation(
        decision="shadow" if policy.mode == "shadow" else "reranked",
        notes=tuple(_notes(plan, policy.share)),
        index=search.index,
        model=policy.model,
        query=plan.query,
        fields=plan.fields,
        window=plan.window,
        from_=plan.from_,
        size=plan.size,
        sent=tuple(_sent(request) for request in requests),
        cut=plan.cut,
    )


def _not(search: SearchRequest, decision: str, reason: str, sentence: str) -> Explanation:
    return Explanation(decision=decision, reason=reason, sentence=sentence, index=search.index)


def _notes(plan: query.Plan, share: float) -> list[str]:
    notes = []
    if share < 1:
        notes.append(f"{share:.0%} of the questions are reranked; this one may be among the others")
    if not plan.fields:
        notes.append("the text is read from the text fields of the mapping")
    if plan.pipeline and plan.pipeline != "_none":
        notes.append(f"left alone if the search pipeline {plan.pipeline!r} reranks, sorts or truncates")
    if plan.second:
        notes.append("fetch options are costly: the second request brings them for the hits of the page only")
    return notes


def _sent(request: SearchRequest) -> Mapping[str, Any]:
    return {"index": request.index, "params": dict(request.params), "body": msgspec.Raw(request.body)}
