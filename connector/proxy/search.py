"""`_search`: reranked where that is decided. Whatever goes wrong, the engine's own answer goes out."""

from __future__ import annotations

from typing import Any

from connector.contract.errors import EngineUnavailable, ScoringError
from connector.engines.base import EngineResponse
from connector.proxy import faults, first_stage, telling
from connector.proxy.call import Call, Serving
from connector.proxy.deciding import Chosen
from connector.proxy.forward import ClientGone
from connector.proxy.incoming import Unreadable
from connector.proxy.telling import Told
from connector.query import SearchRequest
from connector.rerank import Outcome

__all__ = ["answer"]


async def answer(serving: Serving, call: Call) -> None:
    """Answers one `_search`."""
    try:
        search = call.search(serving.limits.body)
        call = call.without_options(search)
        decided = await serving.decider.decide(search, call.request.headers)
    except Unreadable as exc:
        decided = Told("skipped", str(exc))
    except ClientGone:
        return
    except Exception as exc:
        decided = serving.defect(call, exc)
    if isinstance(decided, Told):
        await serving.untouched(call, decided)
    else:
        await _rerank(serving, call, decided)


async def _rerank(serving: Serving, call: Call, chosen: Chosen) -> None:
    stage = _Stage(serving, call, chosen.search)
    try:
        outcome = await serving.reranker.search(
            chosen.search, chosen.policy, stage, plan=chosen.plan, text_fields=chosen.text_fields
        )
    except ClientGone:
        return
    except (EngineUnavailable, ScoringError) as exc:
        # Scoring errors come out of a strict policy only.
        told = Told(exc.status if isinstance(exc, ScoringError) else "error", "the engine does not answer")
        await faults.unavailable(call.send, str(exc), told.headers())
        serving.stats.told(told.status)
    except first_stage.TooLarge:
        limit = serving.limits.response
        await serving.untouched(call, Told("skipped", f"the engine's answer has more than {limit} bytes"))
    except Exception as exc:
        await serving.untouched(call, serving.defect(call, exc))
    else:
        if outcome.refused and outcome.response.status < 400:
            # The engine takes the client's search, but not what was made of it.
            serving.decider.refused(chosen.search)
        await _respond(serving, call, chosen, outcome)


async def _respond(serving: Serving, call: Call, chosen: Chosen, outcome: Outcome) -> None:
    told = telling.of_outcome(outcome)
    extra: dict[str, Any] = {
        "candidates": outcome.candidates,
        "cache_hits": outcome.cache_hits,
        "tasks": outcome.tasks,
    }
    if serving.log_queries:
        extra["query"] = chosen.plan.query
    serving.stats.outcome(outcome)
    await serving.respond(call, outcome.response, told, extra)


class _Stage:
    """Sends what the main path asks for: the rewritten search, and where that was refused the client's own."""

    def __init__(self, serving: Serving, call: Call, search: SearchRequest) -> None:
        self._serving, self._call, self._search = serving, call, search

    async def __call__(self, search: SearchRequest) -> EngineResponse:
        """See `connector.rerank.FirstStage`."""
        if search is self._search:
            request, body = self._call.untouched()
        else:
            request, body = first_stage.rewritten(self._call.request, search)
        limit = self._serving.limits.response
        return await first_stage.fetch(self._serving.forwarder, request, body, limit=limit)
