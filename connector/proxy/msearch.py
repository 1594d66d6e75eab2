"""`_msearch`: each of its searches judged alone, all of them sent in one request, each reranked alone.

items → decide each → one `_msearch` with the rewritten ones in place → rerank each → the answers put back
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from connector import msearch, pieces
from connector.contract.errors import EngineUnavailable, RerankBridgeError, ScoringError
from connector.engines.base import EngineResponse
from connector.msearch import Item
from connector.proxy import faults, first_stage, incoming, telling
from connector.proxy.call import Call, Serving
from connector.proxy.deciding import Chosen
from connector.proxy.forward import ClientGone
from connector.proxy.incoming import Unreadable
from connector.proxy.telling import Told
from connector.query import SearchRequest, options
from connector.rerank import Outcome

__all__ = ["answer"]

_REFUSALS = (400, 413)


class _Refused(Exception):
    """The engine did not take the `_msearch` with the rewritten searches in it."""


class _Answered(Exception):
    """The engine answered for all searches at once: 429, 503."""

    def __init__(self, response: EngineResponse) -> None:
        super().__init__()
        self.response = response


async def answer(serving: Serving, call: Call) -> None:
    """Answers one `_msearch`."""
    try:
        items = _items(serving, call)
        call = _without_options(call, items)
        decisions = [await serving.decider.decide(item.request, call.request.headers) for item in items]
    except (Unreadable, pieces.Unreadable) as exc:
        await serving.untouched(call, Told("skipped", str(exc)))
        return
    except ClientGone:
        return
    except Exception as exc:
        await serving.untouched(call, serving.defect(call, exc))
        return
    if any(isinstance(decision, Chosen) for decision in decisions):
        await _rerank(serving, call, items, decisions)
    else:
        told = [decision for decision in decisions if isinstance(decision, Told)]
        reason = told[0].reason if len({one.reason for one in told}) == 1 else ""
        await serving.untouched(call, Told(", ".join(one.status for one in told), reason))


def _items(serving: Serving, call: Call) -> list[Item]:
    whole = call.search(serving.limits.body)
    items = msearch.split(whole.body, index=whole.index, params=whole.params)
    if len(items) > serving.limits.items:
        raise Unreadable(f"more than {serving.limits.items} searches at once")
    return items


def _without_options(call: Call, items: Sequence[Item]) -> Call:
    """As `Call.without_options`, for options in the URL or in any of the searches."""
    stripped = [replace(item, request=options.strip(item.request)) for item in items]
    if all(one.request is item.request for one, item in zip(stripped, items, strict=True)):
        return call
    return replace(call, stripped=SearchRequest(index="", params=_shared(call), body=msearch.join(stripped)))


def _shared(call: Call) -> tuple[tuple[str, str], ...]:
    """The URL's parameters, but for options of ours."""
    return options.strip(SearchRequest(index="", params=incoming.parameters(call.request.target))).params


async def _rerank(serving: Serving, call: Call, items: Sequence[Item], decisions: Sequence[Chosen | Told]) -> None:
    started = time.monotonic()
    batch = _Batch(serving, call, items, decisions)
    try:
        outcomes = await batch.run()
        body = batch.merged(outcomes, started)
    except ClientGone:
        return
    except _Answered as exc:
        await serving.respond(call, exc.response, Told("skipped", f"the engine answered {exc.response.status}"), {})
    except (EngineUnavailable, ScoringError) as exc:
        told = Told(exc.status if isinstance(exc, ScoringError) else "error", "the engine does not answer")
        await faults.unavailable(call.send, str(exc), told.headers())
    except (_Refused, first_stage.TooLarge, pieces.Unreadable):
        told = Told("skipped", "the engine refused the searches with the window's size")
        status = await serving.untouched(call, told)
        for decision in decisions:
            if isinstance(decision, Chosen) and status is not None and status < 400:
                serving.decider.refused(decision.search)
    except Exception as exc:
        await serving.untouched(call, serving.defect(call, exc))
    else:
        await _respond(serving, call, replace(batch.response, body=body), outcomes, decisions)


async def _respond(
    serving: Serving,
    call: Call,
    response: EngineResponse,
    outcomes: Mapping[int, Outcome],
    decisions: Sequence[Chosen | Told],
) -> None:
    """Tells the statuses in the order of the searches."""
    statuses = [outcomes[i].status if isinstance(one, Chosen) else one.status for i, one in enumerate(decisions)]
    for outcome in outcomes.values():
        serving.stats.outcome(outcome)
    told = next(telling.of_outcome(outcome) for outcome in outcomes.values())
    slowest = max((outcome.timings for outcome in outcomes.values()), key=lambda timings: timings.total_s)
    told = Told(", ".join(statuses), model=told.model, timings=slowest)
    await serving.respond(call, response, told, {"searches": len(decisions)})


@dataclass
class _Batch:
    """One `_msearch` under way: waits until each search has said what it wants of the engine, then asks once."""

    serving: Serving
    call: Call
    items: Sequence[Item]
    decisions: Sequence[Chosen | Told]

    def __post_init__(self) -> None:
        self._chosen = {i: one for i, one in enumerate(self.decisions) if isinstance(one, Chosen)}
        self._asked: dict[int, SearchRequest] = {}
        self._answers: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self.response: EngineResponse

    async def run(self) -> dict[int, Outcome]:
        """The outcome of each reranked search, by place.

        Raises:
            RerankBridgeError, ClientGone, TooLarge, _Refused, _Answered: of the first that fails.
        """
        tasks = {place: asyncio.create_task(self._one(place, chosen)) for place, chosen in self._chosen.items()}
        try:
            await asyncio.gather(*tasks.values())
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        return {place: task.result() for place, task in tasks.items()}

    def merged(self, outcomes: dict[int, Outcome], started: float) -> bytes:
        """The engine's response with the reranked searches in place.

        Raises:
            Unreadable: it is no `_msearch` response.
        """
        engine_s = max(outcome.timings.engine_s for outcome in outcomes.values())
        took_ms = round((time.monotonic() - started - engine_s) * 1000)
        new = {place: outcome.response.body for place, outcome in outcomes.items()}
        return msearch.answered(self.response.body, new, took_ms=max(0, took_ms))

    async def _one(self, place: int, chosen: Chosen) -> Outcome:
        async def stage(search: SearchRequest) -> EngineResponse:
            if place in self._asked:
                return await self._alone(place, search)
            self._asked[place] = search
            if len(self._asked) == len(self._chosen):
                await self._send()
            raw = (await self._answers)[place]
            return replace(self.response, status=_item_status(raw), body=raw)

        return await self.serving.reranker.search(
            chosen.search, chosen.policy, stage, plan=chosen.plan, text_fields=chosen.text_fields
        )

    async def _send(self) -> None:
        try:
            self._answers.set_result(await self._ask())
        except (RerankBridgeError, ClientGone, first_stage.TooLarge, _Refused, _Answered, pieces.Unreadable) as exc:
            self._answers.set_exception(exc)

    async def _ask(self) -> list[bytes]:
        sent = [self._sending(place, item) for place, item in enumerate(self.items)]
        self.response = await self._exchange(msearch.join(sent))
        if self.response.status in _REFUSALS:
            raise _Refused
        if self.response.status != 200:
            raise _Answered(self.response)
        answers = msearch.responses(self.response.body)
        if len(answers) != len(self.items):
            raise pieces.Unreadable(f"{len(answers)} responses to {len(self.items)} searches")
        return answers

    def _sending(self, place: int, item: Item) -> Item:
        if place in self._asked:
            return item.sending(self._asked[place])
        return replace(item, request=options.strip(item.request))

    async def _alone(self, place: int, search: SearchRequest) -> EngineResponse:
        """A further request for one search: the client's own, or a second phase."""
        response = await self._exchange(msearch.join([self.items[place].sending(options.strip(search))]))
        if response.status != 200:
            return response
        [raw] = msearch.responses(response.body)
        return replace(response, status=_item_status(raw), body=raw)

    async def _exchange(self, body: bytes) -> EngineResponse:
        whole = SearchRequest(index="", params=_shared(self.call), body=body)
        request, sent = first_stage.rewritten(self.call.request, whole)
        return await first_stage.fetch(self.serving.forwarder, request, sent, limit=self.serving.limits.response)


class _ItemHead(msgspec.Struct):
    status: int = 200


def _item_status(raw: bytes) -> int:
    """The status of one search of an `_msearch` response.

    Raises:
        Unreadable: it is no response.
    """
    try:
        return msgspec.json.decode(raw, type=_ItemHead).status
    except msgspec.MsgspecError as exc:
        raise pieces.Unreadable("a search's response has no status that can be read") from exc
