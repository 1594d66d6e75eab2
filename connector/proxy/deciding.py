"""Whether a search is reranked, and how: its rule, its own options, the plan, what the engine refused, the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

from connector import query
from connector.policies import Different, Policies, Rule
from connector.proxy import headers as http
from connector.proxy import overrides, refusals
from connector.proxy.facts import Facts
from connector.proxy.refusals import Refusals
from connector.proxy.telling import Told
from connector.query import Plan, SearchRequest, Skip, options
from connector.query.reasons import Reason
from connector.settings import Policy

__all__ = ["Chosen", "Decider"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """A search that is going to be reranked."""

    search: SearchRequest
    policy: Policy
    plan: Plan
    text_fields: tuple[str, ...]


#: Index expressions whose answer is remembered: sites use few, but whoever reaches us may name any.
_EXPRESSIONS = 1024


class Decider:
    """Decides; the policies may be replaced at any time."""

    def __init__(self, policies: Policies, facts: Facts) -> None:
        self.refusals = Refusals()
        self._facts = facts
        self.adopt(policies)

    def adopt(self, policies: Policies) -> None:
        """Decides by `policies` from now on."""
        self.policies = policies
        self._left_alone: dict[str, Told | None] = {}

    def left_alone(self, index: str) -> Told | None:
        """Why no search of `index` is even looked at; None where they are."""
        if index in self._left_alone:
            return self._left_alone[index]
        if len(self._left_alone) >= _EXPRESSIONS:
            self._left_alone.clear()
        told = self._left_alone[index] = self._alone(index)
        return told

    def _alone(self, index: str) -> Told | None:
        rule = self.policies.of(index)
        if isinstance(rule, Different):
            return Told("skipped", "the indices have different policies")
        return Told("off") if rule is None or rule.policy.mode == "off" else None

    async def decide(self, search: SearchRequest, client: http.Headers) -> Chosen | Told:
        """Whether `search`, which came with the headers `client`, is reranked, and how; else why not."""
        rule = self.policies.of(search.index)
        if not isinstance(rule, Rule) or rule.policy.mode == "off":
            return self.left_alone(search.index) or Told("off")
        try:
            policy = overrides.policy_of(rule, options.read(_ours(client), search))
        except overrides.Unusable as exc:
            return Told("skipped", str(exc))
        if policy.mode == "off":
            return Told("off", "switched off by the request")
        return await self._planned(search, policy, client)

    async def _planned(self, search: SearchRequest, policy: Policy, client: http.Headers) -> Chosen | Told:
        plan = query.plan(search, policy)
        fields: tuple[str, ...] = ()
        if not isinstance(plan, Skip) and not plan.fields:
            fields = await self._facts.text_fields(search.index, client)
            plan = query.plan(search, policy, text_fields=fields)
        if isinstance(plan, Skip):
            return Told("skipped", plan.sentence)
        if not _in_share(plan.query, policy.share):
            return Told("off", "outside of the share of searches that are reranked")
        if (search.index, refusals.shape(search)) in self.refusals:
            return Told("skipped", "the engine refused a search of this form a while ago")
        if await self._facts.pipeline_reranks(plan.pipeline, search.index, client):
            return Told("skipped", Reason.SEARCH_PIPELINE.sentence)
        # The share was decided here: by the question, so that all pages of one search are on the same side.
        return Chosen(search=search, policy=replace(policy, share=1.0), plan=plan, text_fields=fields)

    def refused(self, search: SearchRequest) -> None:
        """Remembers that the engine takes `search`, but not what was made of it."""
        self.refusals.add(search.index, refusals.shape(search))


def _in_share(text: str, share: float) -> bool:
    if share >= 1:
        return True
    drawn = int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    return drawn < share * 2**64


def _ours(headers: http.Headers) -> Mapping[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name.startswith(b"x-rerank")}
