"""`_search`: decides whether it is reranked, and answers it. Whatever goes wrong, the engine's own answer goes out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from connector import query
from connector.contract.errors import EngineUnavailable
from connector.engines.base import EngineResponse
from connector.policies import Different, Policies, Rule
from connector.proxy import asgi, faults, first_stage, incoming, overrides, refusals, telling
from connector.proxy import headers as http
from connector.proxy.facts import Facts
from connector.proxy.forward import Body, ClientGone, Forwarder, Request
from connector.proxy.incoming import Raw, Target, Unreadable
from connector.proxy.options import Limits
from connector.proxy.pass_through import body_of, pass_through, request_of
from connector.proxy.refusals import Refusals
from connector.proxy.stats import Stats
from connector.proxy.telling import Told
from connector.query import Plan, Reason, SearchRequest, Skip, options
from connector.rerank import Outcome, Reranker
from connector.settings import Policy

__all__ = ["Searches"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One request under way."""

    request: Request
    raw: Raw
    send: asgi.Send
    index: str
    #: Where options of ours had to be taken out of what is sent to the engine.
    stripped: SearchRequest | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Eligible:
    """A search that is going to be reranked."""

    search: SearchRequest
    policy: Policy
    plan: Plan
    text_fields: tuple[str, ...]


class Searches:
    """Answers searches in one process."""

    def __init__(
        self, forwarder: Forwarder, reranker: Reranker, *, policies: Policies, limits: Limits, log_queries: bool = False
    ) -> None:
        self.policies = policies
        self.refusals = Refusals()
        self.stats = Stats()
        self.under_way = 0
        self._forwarder = forwarder
        self._reranker = reranker
        self._facts = Facts(forwarder)
        self._limits = limits
        self._log_queries = log_queries

    async def answer(self, target: Target, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Answers one `_search`."""
        request = request_of(scope)
        rule = self.policies.of(target.index)
        if not isinstance(rule, Rule) or rule.policy.mode == "off":
            told = (
                Told("skipped", "the indices have different policies") if isinstance(rule, Different) else Told("off")
            )
            await self._through(request, body_of(scope, receive), send, told, target.index)
            return
        try:
            raw = await incoming.read(scope, receive, self._limits.body)
        except ClientGone:
            return
        call = _Call(request=request, raw=raw, send=send, index=target.index)
        if self.under_way >= self._limits.concurrency:
            await self._untouched(call, Told("shed", f"{self.under_way} searches are being reranked already"))
            return
        self.under_way += 1
        try:
            await self._handle(call, rule)
        finally:
            self.under_way -= 1

    async def _handle(self, call: _Call, rule: Rule) -> None:
        try:
            search = self._read(call)
            stripped = options.strip(search)
            if stripped is not search:
                call = replace(call, stripped=stripped)
            policy = overrides.policy_of(rule, options.read(_mapping(call.request.headers), search))
            decided = await self._decide(call, search, policy)
        except (Unreadable, overrides.Unusable) as exc:
            decided = Told("skipped", str(exc))
        except ClientGone:
            return
        except Exception as exc:
            decided = self._defect(call, exc)
        if isinstance(decided, Told):
            await self._untouched(call, decided)
        else:
            await self._rerank(call, decided)

    def _read(self, call: _Call) -> SearchRequest:
        """The search that the request is.

        Raises:
            Unreadable: it is in a form that we do not look into.
        """
        if call.raw.rest is not None:
            raise Unreadable(f"the request's body has more than {self._limits.body} bytes")
        kind = http.first(call.request.headers, b"content-type")
        if call.raw.data and (kind is None or b"json" not in kind.lower()):
            raise Unreadable("the request's body is no JSON")
        body = incoming.decoded(call.raw.data, call.request.headers, self._limits.body)
        return SearchRequest(index=call.index, params=incoming.parameters(call.request.target), body=body)

    async def _decide(self, call: _Call, search: SearchRequest, policy: Policy) -> _Eligible | Told:
        if policy.mode == "off":
            return Told("off", "switched off by the request")
        plan = query.plan(search, policy)
        if isinstance(plan, Skip):
            return Told("skipped", plan.sentence)
        if not _in_share(plan.query, policy.share):
            return Told("off", "outside of the share of searches that are reranked")
        if (call.index, refusals.shape(search)) in self.refusals:
            return Told("skipped", "the engine refused a search of this form a while ago")
        client = call.request.headers
        if await self._facts.pipeline_reranks(plan.pipeline, call.index, client):
            return Told("skipped", Reason.SEARCH_PIPELINE.sentence)
        fields: tuple[str, ...] = ()
        if not plan.fields:
            fields = await self._facts.text_fields(call.index, client)
            again = query.plan(search, policy, text_fields=fields)
            if isinstance(again, Skip):
                return Told("skipped", again.sentence)
            plan = again
        return _Eligible(search=search, policy=replace(policy, share=1.0), plan=plan, text_fields=fields)

    async def _rerank(self, call: _Call, chosen: _Eligible) -> None:
        stage = _Stage(self._forwarder, call, chosen.search, self._limits.response)
        try:
            outcome = await self._reranker.search(
                chosen.search, chosen.policy, stage, plan=chosen.plan, text_fields=chosen.text_fields
            )
        except ClientGone:
            return
        except EngineUnavailable as exc:
            self.stats.told("unavailable")
            await faults.unavailable(call.send, str(exc))
            return
        except first_stage.TooLarge:
            limit = self._limits.response
            await self._untouched(call, Told("skipped", f"the engine's answer has more than {limit} bytes"))
            return
        except Exception as exc:
            await self._untouched(call, self._defect(call, exc))
            return
        if outcome.refused and outcome.response.status < 400:
            # The engine takes the client's search, but not ours.
            self.refusals.add(call.index, refusals.shape(chosen.search))
        await self._respond(call, chosen, outcome)

    async def _respond(self, call: _Call, chosen: _Eligible, outcome: Outcome) -> None:
        told = telling.of_outcome(outcome)
        response = outcome.response
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        await asgi.respond(call.send, response.status, [*headers, *told.headers()], response.body)
        self.stats.outcome(outcome)
        extra: dict[str, Any] = {
            "http_status": response.status,
            "candidates": outcome.candidates,
            "cache_hits": outcome.cache_hits,
            "tasks": outcome.tasks,
        }
        if self._log_queries:
            extra["query"] = chosen.plan.query
        telling.log_search(told, call.request.headers, call.index, extra)

    def _defect(self, call: _Call, exc: Exception) -> Told:
        """A defect of ours costs the reranking, never the answer."""
        log.error("search_failed", exc_info=exc, extra={"fields": {"index": call.index}})
        return Told("error", f"a defect of rerank-bridge: {type(exc).__name__}")

    async def _untouched(self, call: _Call, told: Told) -> None:
        """The client's own request, streamed; without options of ours, which the engine would refuse."""
        if call.stripped is not None:
            request, body = first_stage.rewritten(call.request, call.stripped)
        else:
            request, body = call.request, call.raw.body()
        await self._through(request, body, call.send, told, call.index)

    async def _through(self, request: Request, body: Body, send: asgi.Send, told: Told, index: str) -> None:
        status = await pass_through(self._forwarder, request, body, send, extra_headers=told.headers())
        self.stats.told(told.status)
        telling.log_search(told, request.headers, index, {"http_status": status})


class _Stage:
    """Sends what the main path asks for: the rewritten search, and where that was refused the client's own."""

    def __init__(self, forwarder: Forwarder, call: _Call, search: SearchRequest, limit: int) -> None:
        self._forwarder, self._call, self._search, self._limit = forwarder, call, search, limit

    async def __call__(self, search: SearchRequest) -> EngineResponse:
        """See `connector.rerank.FirstStage`."""
        if search is self._search:
            search = self._call.stripped or search
            if self._call.stripped is None:
                request, body = self._call.request, self._call.raw.body()
                return await first_stage.fetch(self._forwarder, request, body, limit=self._limit)
        request, body = first_stage.rewritten(self._call.request, search)
        return await first_stage.fetch(self._forwarder, request, body, limit=self._limit)


def _in_share(text: str, share: float) -> bool:
    """Whether the question falls into the share: the same one always does, so its pages stay together."""
    if share >= 1:
        return True
    drawn = int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    return drawn < share * 2**64


def _mapping(headers: http.Headers) -> Mapping[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name.startswith(b"x-rerank")}
