"""Search, score, merge: on both real engines, a real broker and a worker whose scores the test knows."""

import asyncio
import functools
import json
import logging
import math
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from connector import indexing, session
from connector.contract.errors import ConfigurationError, EngineRefused, NoWorker
from connector.contract.wire import Reply
from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey
from connector.query import SearchRequest
from connector.rerank import Outcome, Reranker
from connector.session import Session
from connector.settings import Policy, TextTemplate
from tests.fixtures.scripted import ScriptedWorker

#: The engine prefers many "tea"s, the scripted worker long documents: the orders are opposite.
TEXTS = ["tea " * (6 - n) + "filler " * (3 * n) for n in range(6)]
IDS = [str(n) for n in range(6)]


@pytest.fixture(params=["elasticsearch", "opensearch"])
def engine(request: pytest.FixtureRequest) -> RunningEngine:
    return request.getfixturevalue(request.param)


@pytest.fixture
def worker(valkey: RunningValkey) -> Iterator[ScriptedWorker]:
    with ScriptedWorker(url=valkey.url, alias=uuid.uuid4().hex) as running:
        yield running


@pytest.fixture
async def connected(engine: RunningEngine, valkey: RunningValkey) -> AsyncIterator[Session]:
    environment = {"RERANK_BRIDGE_ENGINE_URL": engine.url, "RERANK_BRIDGE_BROKER_URL": valkey.url}
    async with session.connect(environment) as opened:
        yield opened


@pytest.fixture
async def index(connected: Session) -> str:
    name = f"main-path-{uuid.uuid4().hex[:8]}"
    rows = [{"_id": IDS[n], "title": f"document {n}", "text": text} for n, text in enumerate(TEXTS)]
    await indexing.index(connected.engine, rows, index=name)
    return name


def policy(worker: ScriptedWorker, **changes: Any) -> Policy:
    return Policy(**({"model": worker.alias, "window": 4, "deadline": 30.0, "details": True} | changes))


async def search(connected: Session, index: str, policy: Policy, **options: Any) -> Outcome:
    return await connected.search("tea", index=index, policy=policy, fields=("text",), **options)


def ids(outcome: Outcome) -> list[str]:
    return [hit["_id"] for hit in body(outcome)["hits"]["hits"]]


def body(outcome: Outcome) -> dict[str, Any]:
    return json.loads(outcome.response.body)


async def test_the_window_is_reordered_and_the_tail_stays(
    connected: Session, index: str, worker: ScriptedWorker
) -> None:
    engines = await search(connected, index, policy(worker, mode="off"))
    reranked = await search(connected, index, policy(worker))
    assert ids(engines) == IDS
    assert (reranked.status, ids(reranked)) == ("applied", ["3", "2", "1", "0", "4", "5"])


async def test_shown_scores_fall_and_stay_finite_over_window_and_tail(
    connected: Session, index: str, worker: ScriptedWorker
) -> None:
    shown = [hit["_score"] for hit in body(await search(connected, index, policy(worker)))["hits"]["hits"]]
    assert shown == sorted(shown, reverse=True)
    assert all(math.isfinite(score) and score >= 0 for score in shown)


async def test_the_engines_scores_may_be_shown_instead_slot_by_slot(
    connected: Session, index: str, worker: ScriptedWorker
) -> None:
    engines = body(await search(connected, index, policy(worker, mode="off")))["hits"]
    reranked = body(await search(connected, index, policy(worker, scores="engine")))["hits"]
    assert [hit["_score"] for hit in reranked["hits"]] == [hit["_score"] for hit in engines["hits"]]
    assert reranked["max_score"] == engines["max_score"]


async def test_first_stage_score_and_rank_are_there_on_request(
    connected: Session, index: str, worker: ScriptedWorker
) -> None:
    engines = body(await search(connected, index, policy(worker, mode="off")))["hits"]["hits"]
    first = body(await search(connected, index, policy(worker)))["hits"]["hits"][0]
    assert first["fields"]["_rerank.first_stage_rank"] == [4]
    assert first["fields"]["_rerank.first_stage_score"] == [engines[3]["_score"]]


async def test_totals_and_aggregations_come_as_the_engine_gave_them(
    connected: Session, index: str, worker: ScriptedWorker
) -> None:
    request = SearchRequest(
        index=index,
        params=(),
        body=json.dumps(
            {"query": {"match": {"text": "tea"}}, "size": 2, "aggs": {"n": {"value_count": {"field": "_id"}}}}
            if connected.engine.name == "opensearch"
            else {"query": {"match": {"text": "tea"}}, "size": 2, "aggs": {"n": {"filter": {"match_all": {}}}}}
        ).encode(),
    )

    async def send(asked: SearchRequest) -> Any:
        return await connected.engine.search(asked.index, asked.body, asked.params)

    run = functools.partial(Reranker(connected.scorer).search, request, first_stage=send)
    engines, reranked = await run(policy(worker, mode="off")), await run(policy(worker, details=False))
    assert reranked.status == "applied"
    for name in ("_shards", "timed_out", "aggregations"):
        assert body(reranked)[name] == body(engines)[name]
    assert body(reranked)["hits"]["total"] == body(engines)["hits"]["total"]
    assert len(body(reranked)["hits"]["hits"]) == 2


async def test_a_page_holds_what_its_place_in_the_whole_order_says(
    connected: Session, index: str, worker: ScriptedWorker
) -> None:
    whole = ids(await search(connected, index, policy(worker)))
    assert ids(await search(connected, index, policy(worker), size=3)) == whole[:3]


async def test_the_second_identical_search_sends_no_task(
    connected: Session, index: str, worker: ScriptedWorker
) -> None:
    first = await search(connected, index, policy(worker))
    second = await search(connected, index, policy(worker))
    assert (first.tasks, first.cache_hits, first.candidates) == (1, 0, 4)
    assert (second.tasks, second.cache_hits, second.candidates) == (0, 4, 4)
    assert ids(second) == ids(first)


async def test_a_worker_that_dies_mid_search_leaves_the_engines_order_and_the_reason(
    connected: Session, index: str, worker: ScriptedWorker
) -> None:
    worker.open.clear()
    outcome = await search(connected, index, policy(worker, deadline=0.2))
    assert (outcome.status, ids(outcome)) == ("timeout", IDS)
    assert "deadline" in outcome.reason


async def test_a_model_that_fails_leaves_the_engines_answer(
    connected: Session, index: str, worker: ScriptedWorker
) -> None:
    worker.answer = lambda request: Reply(id=request.id, error=("ModelFailed", "NaN"))
    engines = body(await search(connected, index, policy(worker, mode="off")))
    outcome = await search(connected, index, policy(worker, details=False))
    assert outcome.status == "error"
    assert body(outcome) | {"took": 0} == engines | {"took": 0}


async def test_strict_turns_the_failure_into_an_error(connected: Session, index: str, worker: ScriptedWorker) -> None:
    with pytest.raises(NoWorker, match="nobody"):
        await search(connected, index, policy(worker, model="nobody", strict=True))


async def test_shadow_answers_without_waiting_and_scores_beside_it(
    connected: Session, index: str, worker: ScriptedWorker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "connector.rerank")
    worker.open.clear()
    outcome = await search(connected, index, policy(worker, mode="shadow"))
    assert (outcome.status, ids(outcome)) == ("shadow", IDS)
    worker.open.set()
    while not caplog.records:
        await asyncio.sleep(0.01)
    assert [record.message for record in caplog.records] == ["shadow_scored"]
    assert len(worker.requests) == 1


async def test_a_hit_without_text_is_not_sent_and_keeps_its_slot(connected: Session, worker: ScriptedWorker) -> None:
    name = f"main-path-{uuid.uuid4().hex[:8]}"
    rows = [{"_id": "a", "title": "tea tea tea", "text": "short"}, {"_id": "b", "title": "tea tea", "text": "  "}]
    rows.append({"_id": "c", "title": "tea", "text": "the longest of them"})
    await indexing.index(connected.engine, rows, index=name)
    reads_text = policy(worker, text=TextTemplate(fields=("text",)))
    outcome = await connected.search("tea", index=name, policy=reads_text, fields=("title",))
    assert (outcome.status, ids(outcome)) == ("applied", ["c", "b", "a"])
    assert worker.requests[-1].documents == ("short", "the longest of them")


async def test_a_search_without_hits_says_so(connected: Session, index: str, worker: ScriptedWorker) -> None:
    outcome = await connected.search("coffee", index=index, policy=policy(worker), fields=("text",))
    assert (outcome.status, outcome.reason, ids(outcome)) == ("skipped", "no hits", [])


async def test_characters_that_no_json_holds_are_spaces(connected: Session, index: str, worker: ScriptedWorker) -> None:
    outcome = await connected.search("\udcfftea\x1b", index=index, policy=policy(worker), fields=("text",))
    assert (outcome.status, ids(outcome)) == ("applied", ["3", "2", "1", "0", "4", "5"])
    assert worker.requests[-1].query == "tea"


async def test_a_defect_of_ours_costs_the_reranking_and_not_the_answer(connected: Session, index: str) -> None:
    class Broken:
        async def score(self, **_: Any) -> Any:
            raise ZeroDivisionError

    engines = body(await search(connected, index, Policy(mode="off")))
    request = SearchRequest(index=index, params=(), body=b'{"query":{"match":{"text":"tea"}}}')

    async def send(asked: SearchRequest) -> Any:
        return await connected.engine.search(asked.index, asked.body, asked.params)

    outcome = await Reranker(Broken()).search(request, Policy(), send)
    assert (outcome.status, outcome.reason) == ("error", "a defect of rerank-bridge: ZeroDivisionError")
    assert body(outcome)["hits"] == engines["hits"]


async def test_an_index_that_does_not_exist_is_one_clear_error(connected: Session, worker: ScriptedWorker) -> None:
    with pytest.raises(EngineRefused, match="no such index"):
        await search(connected, "nowhere", policy(worker))


async def test_a_knn_search_without_a_vector_field_says_what_to_do(connected: Session, worker: ScriptedWorker) -> None:
    name = f"main-path-{uuid.uuid4().hex[:8]}"
    await connected.engine.request("PUT", f"/{name}", body=b'{"mappings":{"properties":{"text":{"type":"text"}}}}')
    with pytest.raises(ConfigurationError, match="index it with --embed"):
        await search(connected, name, policy(worker), mode="knn")


@pytest.mark.parametrize("mode", ["knn", "hybrid"])
async def test_an_embedded_query_finds_its_neighbours_and_they_are_reranked(
    connected: Session, worker: ScriptedWorker, mode: str
) -> None:
    name = f"main-path-{uuid.uuid4().hex[:8]}"
    rows = [{"_id": IDS[n], "title": "t", "text": text} for n, text in enumerate(TEXTS[:3])]
    await indexing.index(connected.engine, rows, index=name)
    worker.dimensions = 384
    for n in range(3):
        vector = json.dumps({"doc": {"vector": [1.0 + n, *[1.0] * 383]}}).encode()
        await connected.engine.request("POST", f"/{name}/_update/{n}", body=vector)
    await indexing.refresh(connected.engine, name)
    connected_search = functools.partial(
        connected.search,
        "tea",
        index=name,
        policy=policy(worker),
        fields=("text",),
        mode=mode,
        embed_model=worker.alias,
    )
    outcome = await connected_search()
    assert (outcome.status, ids(outcome)) == ("applied", ["2", "1", "0"])
    assert "vector" not in body(outcome)["hits"]["hits"][0]["_source"]
    assert (await connected_search()).tasks == 0
    assert len(worker.embedded) == 1
