"""The engine's response in a new order: whole hits permuted, scores and `took` put in, other bytes as they came. Pure.

Positions come from `connector.splice`; nothing is decoded and encoded again. What is shown as a score is decided in
`connector.shown`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from connector import shown, splice
from connector.fusion import Ranked, sigmoid
from connector.page import Hit, Page, read
from connector.pieces import Member, Unreadable
from connector.query import Plan
from connector.settings import Policy
from connector.splice import Edit

__all__ = ["Hit", "Page", "Unreadable", "merge", "page_hits", "read"]

#: Names of what `details` adds under `fields`, in a hit.
DETAILS = ("_rerank.score", "_rerank.first_stage_score", "_rerank.first_stage_rank")


def page_hits(page: Page, plan: Plan, ranking: Sequence[Ranked]) -> list[Hit]:
    """The hits of the client's page, in the new order; what a second request (`two_phase`) is to fetch."""
    return [page.hits[place] for place in _order(page, plan, ranking)[plan.from_ : plan.from_ + plan.size]]


def merge(
    page: Page,
    plan: Plan,
    ranking: Sequence[Ranked],
    *,
    policy: Policy,
    took_ms: int,
    fetched: Sequence[Hit] | None = None,
) -> bytes:
    """The response to the client's own request: its page of the window's new order, then what lies behind the window.

    Args:
        ranking: the new order of the first `plan.window` hits, or of all where there are fewer.
        took_ms: milliseconds to add to `took`.
        fetched: what a second request brought for `page_hits`, in that order.

    Raises:
        ValueError: `ranking` is no permutation of the window.
        Unreadable: the response cannot be made with certainty; the client's own request should be sent.
    """
    order = _order(page, plan, ranking)
    engine = [hit.score_bytes for hit in page.hits]
    slots = range(plan.from_, min(plan.from_ + plan.size, len(order)))
    hits: list[bytes] = []
    for slot, score in zip(slots, shown.scores(engine, ranking, policy.scores, slots), strict=True):
        ranked = ranking[slot] if slot < len(ranking) else None
        if ranked is not None and slot >= policy.pins and _is_below(ranked, policy.threshold):
            continue
        hit = page.hits[order[slot]]
        seen = fetched[slot - plan.from_] if fetched is not None else hit
        hits.append(_written(seen, hit.score, order[slot], score, ranked, plan, policy))
    if plan.filtered:
        hits = [hit for hit in hits if hit != b"{}"]
        if not hits:
            raise Unreadable("nothing that filter_path names is there")
    edits = [Edit(*page.listed, b"[" + b",".join(hits) + b"]")]
    edits += _took(page, took_ms)
    if policy.scores == "rerank" and ranking:
        best = shown.scores(engine, ranking, policy.scores, range(1))[0]
        edits += _replaced(page.body, page.outer, "max_score", best or b"null")
    if policy.details and not plan.filtered:
        end = page.body.rindex(b"}")
        edits.append(Edit(end, end, b',"_rerank":' + _block(policy, ranking)))
    return splice.apply(page.body, edits)


def _is_below(ranked: Ranked, threshold: float | None) -> bool:
    return threshold is not None and ranked.score is not None and sigmoid(ranked.score) < threshold


def _order(page: Page, plan: Plan, ranking: Sequence[Ranked]) -> list[int]:
    """Places in the engine's list, in the new order."""
    window = min(plan.window, len(page.hits))
    reranked = [ranked.position for ranked in ranking]
    if sorted(reranked) != list(range(window)):
        raise ValueError(f"the ranking is not a permutation of the {window} hits of the window")
    return reranked + list(range(window, len(page.hits)))


def _written(
    hit: Hit,
    first_score: float | None,
    place: int,
    score: bytes | None,
    ranked: Ranked | None,
    plan: Plan,
    policy: Policy,
) -> bytes:
    """The hit as the client sees it: with its new score, its details, and without what only we asked for."""
    span = hit.score_span
    edits = [Edit(*span, score)] if span and score else []
    if edits and score and hit.is_explained and ranked is not None and ranked.score is not None:
        member = hit.members["_explanation"]
        original = hit.raw[member.start : member.end]
        edits.append(Edit(member.start, member.end, _explanation(score, original, policy)))
    raw = splice.apply(hit.raw, edits)
    cuts: dict[str, bytes | None] = dict.fromkeys(plan.cut)
    if policy.details and not plan.filtered:
        cuts["fields"] = _with_details(
            None if "fields" in plan.cut else hit.fields, (ranked.score if ranked else None, first_score, place + 1)
        )
    return splice.update(raw, cuts) if cuts else raw


def _with_details(fields: bytes | None, values: tuple[float | None, ...]) -> bytes:
    added = {
        name: msgspec.json.encode([value]) for name, value in zip(DETAILS, values, strict=True) if value is not None
    }
    return splice.update(fields or b"{}", added)


def _explanation(score: bytes, original: bytes, policy: Policy) -> bytes:
    description = msgspec.json.encode(
        f"score shown after reranking by the model {policy.model!r}; the first stage's below"
    )
    return b'{"value":%b,"description":%b,"details":[%b]}' % (score, description, original)


def _block(policy: Policy, ranking: Sequence[Ranked]) -> bytes:
    scored = sum(ranked.score is not None for ranked in ranking)
    return msgspec.json.encode(
        {"model": policy.model, "window": len(ranking), "scored": scored, "scores": policy.scores}
    )


def _took(page: Page, added: int) -> list[Edit]:
    member = page.top.get("took")
    value = page.body[member.start : member.end] if member else b""
    return [Edit(member.start, member.end, b"%d" % (int(value) + added))] if member and value.isdigit() else []


def _replaced(text: bytes, found: Mapping[str, Member], name: str, value: bytes) -> list[Edit]:
    """The edit that sets member `name`, where it is there and not null."""
    member = found.get(name)
    if member is None or text[member.start : member.end] == b"null":
        return []
    return [Edit(member.start, member.end, value)]
