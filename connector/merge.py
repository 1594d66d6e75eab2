"""The engine's response in a new order: whole hits permuted, scores and `took` put in, all other bytes as they came. Pure.

Positions come from `connector.splice`; nothing is decoded and encoded again. What is shown as a score is decided in
`connector.shown`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from connector import shown, splice
from connector.fusion import Ranked
from connector.query import Plan
from connector.settings import Policy
from connector.splice import Edit, Member, Unreadable

__all__ = ["Hit", "Page", "Unreadable", "merge", "read"]

#: Names of what `details` adds under `fields`, in a hit.
DETAILS = ("_rerank.score", "_rerank.first_stage_score", "_rerank.first_stage_rank")


class _Head(msgspec.Struct):
    """What is read of a hit; everything else is carried."""

    score: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="_score", default=msgspec.UNSET)
    source: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="_source", default=msgspec.UNSET)
    fields: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_heads = msgspec.json.Decoder(_Head)


@dataclass(frozen=True)
class Hit:
    """One hit of a response."""

    #: The whole object, as the engine sent it.
    raw: bytes
    #: The same, or its stand-in where `raw` holds lone surrogates (`splice.shape`).
    shape: bytes

    @cached_property
    def members(self) -> dict[str, Member]:
        """Where each member stands in `raw`."""
        return splice.members(self.shape)

    @cached_property
    def score_bytes(self) -> bytes | None:
        """`_score` as the engine wrote it; None where it wrote none."""
        raw = self._head.score
        return None if raw is msgspec.UNSET else bytes(raw)

    @cached_property
    def score(self) -> float | None:
        """`_score`; None where the engine gave null or none."""
        text = self.score_bytes
        return None if text is None or text == b"null" else float(text)

    @property
    def source(self) -> bytes | None:
        """`_source`, or None without one."""
        return self._piece("_source", self._head.source)

    @property
    def fields(self) -> bytes | None:
        """`fields`, or None without them."""
        return self._piece("fields", self._head.fields)

    @cached_property
    def _head(self) -> _Head:
        try:
            return _heads.decode(self.shape)
        except msgspec.MsgspecError as exc:
            raise Unreadable(str(exc)) from exc

    def _piece(self, name: str, raw: msgspec.Raw | msgspec.UnsetType) -> bytes | None:
        if raw is msgspec.UNSET:
            return None
        if self.raw is self.shape:
            return bytes(raw)
        member = self.members[name]
        return self.raw[member.start : member.end]


@dataclass(frozen=True)
class Page:
    """A `_search` response, taken apart down to its hits."""

    body: bytes
    #: Members of the response and of its `hits`, as offsets into `body`.
    top: Mapping[str, Member]
    outer: Mapping[str, Member]
    hits: tuple[Hit, ...]


def read(body: bytes) -> Page:
    """Takes a `_search` response apart.

    Raises:
        Unreadable: it is none, or not with certainty; it should go back as the engine sent it.
    """
    text = splice.shape(body)
    top = splice.members(text)
    if "hits" not in top:
        raise Unreadable("it has no hits")
    outer = splice.members(text, top["hits"].start, top["hits"].end)
    if "hits" not in outer:
        raise Unreadable("its hits have no list")
    spans = splice.elements(text, outer["hits"].start, outer["hits"].end)
    hits = tuple(_hit(body, text, start, end) for start, end in spans)
    return Page(body=body, top=top, outer=outer, hits=hits)


def merge(page: Page, plan: Plan, ranking: Sequence[Ranked], *, policy: Policy, took_ms: int) -> bytes:
    """The response to the client's own request: its page of the window's new order, then what lies behind the window.

    Args:
        ranking: the new order of the first `plan.window` hits, or of all where there are fewer.
        took_ms: milliseconds to add to `took`.

    Raises:
        ValueError: `ranking` is no permutation of the window.
        Unreadable: a hit cannot be taken apart.
    """
    window = min(plan.window, len(page.hits))
    if sorted(ranked.position for ranked in ranking) != list(range(window)):
        raise ValueError(f"the ranking is not a permutation of the {window} hits of the window")
    scores = shown.scores([hit.score_bytes for hit in page.hits], ranking, policy.scores)
    order = [ranked.position for ranked in ranking] + list(range(window, len(page.hits)))
    slots = range(plan.from_, min(plan.from_ + plan.size, len(order)))
    hits = [
        _written(
            page.hits[order[slot]], scores[slot], ranking[slot] if slot < window else None, order[slot], plan, policy
        )
        for slot in slots
    ]
    edits = [Edit(page.outer["hits"].start, page.outer["hits"].end, b"[" + b",".join(hits) + b"]")]
    edits += _took(page, took_ms)
    if policy.scores == "rerank" and scores and scores[0]:
        edits += _replaced(page.body, page.outer, "max_score", scores[0])
    if policy.details and not plan.filtered:
        end = page.body.rindex(b"}")
        edits.append(Edit(end, end, b',"_rerank":' + _block(policy, ranking)))
    return splice.apply(page.body, edits)


def _hit(body: bytes, text: bytes, start: int, end: int) -> Hit:
    raw = body[start:end]
    return Hit(raw=raw, shape=raw if text is body else text[start:end])


def _written(hit: Hit, score: bytes | None, ranked: Ranked | None, place: int, plan: Plan, policy: Policy) -> bytes:
    """The hit as the client sees it: with its new score, its details, and without what only we asked for."""
    edits = [] if score is None else _replaced(hit.raw, hit.members, "_score", score)
    if ranked is not None and ranked.score is not None and score is not None and "_explanation" in hit.members:
        member = hit.members["_explanation"]
        original = hit.raw[member.start : member.end]
        edits.append(Edit(member.start, member.end, _explanation(score, original, policy)))
    raw = splice.apply(hit.raw, edits)
    cuts: dict[str, bytes | None] = dict.fromkeys(plan.cut)
    if policy.details and not plan.filtered:
        cuts["fields"] = _with_details(None if "fields" in plan.cut else hit.fields, hit, ranked, place)
    return splice.update(raw, cuts) if cuts else raw


def _with_details(fields: bytes | None, hit: Hit, ranked: Ranked | None, place: int) -> bytes:
    values = (ranked.score if ranked else None, hit.score, place + 1)
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
