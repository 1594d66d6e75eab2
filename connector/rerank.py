"""The main path: search a window of candidates, have them scored in time, merge the new order into the response.

    plan (query) → first stage (engine) → texts (hits) → scores (scoring) → order (fusion) → response (merge)

Whatever fails on the way, the engine's own answer comes back, and the outcome says why.
"""

from __future__ import annotations

import functools
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from connector import background, fusion, hits, merge, query
from connector.contract import names
from connector.contract.errors import EngineRefused
from connector.engines.base import EngineResponse
from connector.outcome import Outcome, Status, Timings
from connector.query import Plan, SearchRequest, Skip, two_phase
from connector.scoring.base import Scored, Scorer
from connector.settings import Policy

__all__ = ["FirstStage", "Outcome", "Reranker", "Status", "Timings"]

log = logging.getLogger(__name__)

#: Sends a search and hands over the answer: an engine adapter's `search`, a proxy's forwarder, a hybrid of two.
FirstStage = Callable[[SearchRequest], Awaitable[EngineResponse]]
#: Statuses of an engine that does not take the rewritten request, though it may well take the client's own.
_REFUSALS = (400, 413)
#: What our own code raises when it is wrong.
_DEFECTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Reranker:
    """Runs searches through a scorer."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._shadows = background.Tasks()

    async def search(
        self,
        request: SearchRequest,
        policy: Policy,
        first_stage: FirstStage,
        *,
        query_text: str | None = None,
        text_fields: Sequence[str] = (),
        plan: Plan | None = None,
        lane: names.Lane = names.INTERACTIVE,
    ) -> Outcome:
        """Searches, reranks where `policy` and the request allow it, and answers the request.

        Args:
            query_text: what the user asked, where the request's body does not say it (a vector search).
            text_fields: the index's text fields, for when neither the policy nor the query names any.
            plan: `query.plan`'s answer for this request, where the caller has asked already.

        Raises:
            EngineError: the engine does not answer, or refuses the client's own request.
            ScoringError: only under `policy.strict`.
        """
        started = time.monotonic()
        if policy.mode == "off" or random.random() >= policy.share:
            return await self._untouched(request, first_stage, "off", "switched off by policy", started)
        planned = plan or query.plan(request, policy, query_text=query_text, text_fields=text_fields)
        if isinstance(planned, Skip):
            return await self._untouched(request, first_stage, "skipped", planned.sentence, started)
        response = await _widened(planned.request, first_stage)
        if response is None or response.status in _REFUSALS:
            reason = "the engine refused the search with the window's size"
            outcome = await self._untouched(request, first_stage, "skipped", reason, started)
            return replace(outcome, refused=True)
        engine_s = time.monotonic() - started
        if response.status >= 300:
            reason = f"the engine answered {response.status}"
            return Outcome(response=response, status="skipped", reason=reason, timings=_until_now(started, engine_s))
        try:
            search = _Search(planned, policy, response, merge.read(response.body), started, engine_s)
            outcome = await self._reranked(search, text_fields, first_stage, lane)
        except merge.Unreadable as exc:
            reason = f"the engine's response cannot be taken apart: {exc}"
            return await self._untouched(request, first_stage, "skipped", reason, started)
        except _DEFECTS as exc:
            log.exception("rerank_failed")
            reason = f"a defect of rerank-bridge: {type(exc).__name__}"
            return await self._untouched(request, first_stage, "error", reason, started)
        if planned.second and outcome.status not in ("applied", "partial"):
            # The first of two requests went without the client's fetch options.
            untouched = await self._untouched(request, first_stage, outcome.status, outcome.reason, started)
            return replace(outcome, response=untouched.response, timings=_until_now(started, engine_s))
        return outcome

    async def _reranked(
        self, search: _Search, text_fields: Sequence[str], first_stage: FirstStage, lane: names.Lane
    ) -> Outcome:
        plan, policy, window = search.plan, search.policy, search.page.hits[: search.plan.window]
        texts = hits.texts(window, policy.text, plan.fields or tuple(text_fields))
        documents = [text for text in texts if text]
        if len(documents) < policy.min_hits:
            few = f"hits with text: {len(documents)}, fewer than {policy.min_hits}"
            return search.as_it_was("skipped", few if window else "no hits")
        score = functools.partial(
            self._scorer.score,
            model=policy.model,
            query=plan.query,
            documents=documents,
            passages=policy.passages,
            deadline=search.answered + policy.deadline,
            lane=lane,
        )
        if policy.mode == "shadow":
            self._shadows.add(_shadowed(score, [hit.score for hit in window], texts, policy))
            return search.as_it_was("shadow", "scored beside the answer, not shown", candidates=len(documents))
        scored = await score()
        if scored.failure and policy.strict:
            raise scored.failure
        partial = bool(scored.failure) and policy.on_timeout == "partial" and scored.values.count(None) < len(documents)
        if scored.failure and not partial:
            return search.as_it_was(_status(scored), str(scored.failure), scored, candidates=len(documents))
        ranking = _ranking([hit.score for hit in window], texts, scored, policy)
        fetched = await self._fetched(search, ranking, first_stage)
        status: Status = "partial" if partial else "applied"
        reason = str(scored.failure or "")
        return search.merged(status, reason, ranking, scored, candidates=len(documents), fetched=fetched)

    async def _fetched(
        self, search: _Search, ranking: Sequence[fusion.Ranked], first_stage: FirstStage
    ) -> list[merge.Hit] | None:
        """The hits of the client's page with its costly fetch options, where the plan is to ask for them apart."""
        shown = merge.page_hits(search.page, search.plan, ranking)
        if search.plan.second is None or not shown:
            return None
        response = await _widened(two_phase.narrowed(search.plan.second, shown), first_stage)
        if response is None or response.status >= 300:
            raise merge.Unreadable("the engine refused to fetch the hits of the page apart")
        return two_phase.arranged(shown, merge.read(response.body))

    async def _untouched(
        self, request: SearchRequest, first_stage: FirstStage, status: Status, reason: str, started: float
    ) -> Outcome:
        """The client's own request, as it came."""
        asked = time.monotonic()
        response = await first_stage(request)
        timings = _until_now(started, time.monotonic() - asked)
        return Outcome(response=response, status=status, reason=reason, timings=timings)


class _Search:
    """A search whose first stage has answered: makes outcomes of it."""

    def __init__(
        self, plan: Plan, policy: Policy, response: EngineResponse, page: merge.Page, started: float, engine_s: float
    ) -> None:
        self.plan, self.policy, self.page = plan, policy, page
        self._response, self._started, self._engine_s = response, started, engine_s

    @property
    def answered(self) -> float:
        """The instant at which the engine had answered: the clock of the deadline starts."""
        return self._started + self._engine_s

    def as_it_was(self, status: Status, reason: str, scored: Scored | None = None, *, candidates: int = 0) -> Outcome:
        """The engine's order and scores, cut to the page that the client asked for."""
        length = min(self.plan.window, len(self.page.hits))
        unranked = [fusion.Ranked(position=i, score=None, value=0.0) for i in range(length)]
        policy = replace(self.policy, scores="engine")
        return self.merged(status, reason, unranked, scored, candidates=candidates, policy=policy)

    def merged(
        self,
        status: Status,
        reason: str,
        ranking: Sequence[fusion.Ranked],
        scored: Scored | None,
        *,
        candidates: int,
        policy: Policy | None = None,
        fetched: Sequence[merge.Hit] | None = None,
    ) -> Outcome:
        """The response in the order of `ranking`."""
        merging = time.monotonic()
        took_ms = round((merging - self._started - self._engine_s) * 1000)
        body = merge.merge(
            self.page, self.plan, ranking, policy=policy or self.policy, took_ms=took_ms, fetched=fetched
        )
        scored = scored or Scored(values=[])
        now = time.monotonic()
        return Outcome(
            response=replace(self._response, body=body),
            status=status,
            reason=reason,
            model=scored.model,
            fingerprint=scored.fingerprint,
            candidates=candidates,
            cache_hits=scored.cache_hits,
            tasks=scored.tasks,
            timings=Timings(
                engine_s=self._engine_s,
                cache_s=scored.cache_s,
                queue_s=scored.queue_s,
                score_s=scored.score_s,
                merge_s=now - merging,
                total_s=now - self._started,
            ),
        )


def _ranking(
    first_stage: Sequence[float | None], texts: Sequence[str | None], scored: Scored, policy: Policy
) -> list[fusion.Ranked]:
    arriving = iter(scored.values)
    scores = [next(arriving) if text else None for text in texts]
    return fusion.rank(first_stage, scores, policy.fusion, pins=policy.pins)


async def _shadowed(
    score: Callable[[], Awaitable[Scored]],
    first_stage: Sequence[float | None],
    texts: Sequence[str | None],
    policy: Policy,
) -> None:
    """Says in the log what reranking would have done: how many of the first ten would have stayed, and in what time."""
    started = time.monotonic()
    scored = await score()
    top = [ranked.position for ranked in _ranking(first_stage, texts, scored, policy)[:10]]
    fields = {"model": policy.model, "failure": str(scored.failure or ""), "seconds": time.monotonic() - started}
    log.info("shadow_scored", extra=fields | {"kept_in_top_10": sum(position < 10 for position in top)})


async def _widened(request: SearchRequest, first_stage: FirstStage) -> EngineResponse | None:
    """The answer to the rewritten request; None where an adapter says that the engine refused it."""
    try:
        return await first_stage(request)
    except EngineRefused as exc:
        if exc.status in _REFUSALS:
            return None
        raise


def _status(scored: Scored) -> Status:
    status = getattr(scored.failure, "status", "error")
    return status if status in ("timeout", "unavailable", "shed") else "error"  # type: ignore[return-value]


def _until_now(started: float, engine_s: float) -> Timings:
    return Timings(engine_s=engine_s, total_s=time.monotonic() - started)
