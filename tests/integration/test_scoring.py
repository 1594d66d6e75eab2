"""The scorer on a real broker, with a worker that the test holds by the hand."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from connector import scoring
from connector.contract import env, keys
from connector.contract.errors import ModelFailed, NoWorker, QueueUnavailable, ScoringTimeout
from connector.contract.wire import Reply
from connector.embedded.valkey import RunningValkey, start_valkey
from connector.scoring import Scored
from connector.scoring.celery_scorer import CeleryScorer
from tests.fixtures.scripted import ScriptedWorker

HASHER = keys.Hasher(b"a key for the tests only")
DOCUMENTS = ["one", "three", "seventeen"]
LONG = 30.0
NOW = 0.05


@pytest.fixture
def worker(valkey: RunningValkey) -> Iterator[ScriptedWorker]:
    with ScriptedWorker(url=valkey.url, alias=uuid.uuid4().hex) as running:
        yield running


@pytest.fixture
async def scorer(valkey: RunningValkey) -> AsyncIterator[CeleryScorer]:
    async with scoring.connect(urls(valkey.url), HASHER) as connected:
        yield connected


def urls(url: str) -> env.Urls:
    return env.Urls(broker=url, state=url, cache=url)


async def score(scorer: CeleryScorer, model: str, documents: list[str] = DOCUMENTS, within: float = LONG) -> Scored:
    return await scorer.score(model=model, query="q", documents=documents, deadline=time.monotonic() + within)


async def test_scores_come_back_in_the_order_of_the_documents(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    scored = await score(scorer, worker.alias)
    assert (scored.values, scored.failure) == ([2.0, 4.0, 8.0], None)
    assert (scored.cache_hits, scored.tasks, scored.fingerprint) == (0, 1, worker.fingerprint)


async def test_the_same_search_again_sends_no_task(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    await score(scorer, worker.alias)
    again = await score(scorer, worker.alias)
    assert (again.values, again.cache_hits, again.tasks) == ([2.0, 4.0, 8.0], 3, 0)
    assert len(worker.requests) == 1


async def test_another_process_finds_the_scores_in_redis(valkey: RunningValkey, worker: ScriptedWorker) -> None:
    for hits in (0, 3):
        async with scoring.connect(urls(valkey.url), HASHER) as scorer:
            assert (await score(scorer, worker.alias)).cache_hits == hits
    assert len(worker.requests) == 1


async def test_only_the_misses_travel(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    await score(scorer, worker.alias, ["one"])
    scored = await score(scorer, worker.alias, ["one", "two!"])
    assert (scored.values, scored.cache_hits) == ([2.0, 3.0], 1)
    assert worker.requests[-1].documents == ("two!",)


async def test_a_document_that_stands_twice_is_scored_once(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    scored = await score(scorer, worker.alias, ["one", "one"])
    assert scored.values == [2.0, 2.0]
    assert worker.requests[-1].documents == ("one",)


async def test_searches_at_the_same_time_share_one_task(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    worker.open.clear()
    together = [asyncio.create_task(score(scorer, worker.alias)) for _ in range(5)]
    while not scorer.under_way:
        await asyncio.sleep(0)
    worker.open.set()
    results = await asyncio.gather(*together)
    assert [result.values for result in results] == [[2.0, 4.0, 8.0]] * 5
    assert sum(result.tasks for result in results) == len(worker.requests) == 1


async def test_a_search_that_is_cancelled_takes_nothing_from_those_that_wait_with_it(
    scorer: CeleryScorer, worker: ScriptedWorker
) -> None:
    worker.open.clear()
    first = asyncio.create_task(score(scorer, worker.alias))
    while not scorer.under_way:
        await asyncio.sleep(0)
    second = asyncio.create_task(score(scorer, worker.alias))
    await asyncio.sleep(0)
    first.cancel()
    worker.open.set()
    assert (await second).values == [2.0, 4.0, 8.0]
    assert len(worker.requests) == 1


async def test_past_the_deadline_there_is_a_timeout_and_what_was_stored(
    scorer: CeleryScorer, worker: ScriptedWorker
) -> None:
    await score(scorer, worker.alias, ["one"])
    worker.open.clear()
    scored = await score(scorer, worker.alias, within=NOW)
    assert isinstance(scored.failure, ScoringTimeout)
    assert scored.values == [2.0, None, None]


async def test_scores_that_came_too_late_serve_the_next_search(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    worker.open.clear()
    assert (await score(scorer, worker.alias, within=NOW)).failure
    worker.open.set()
    while scorer.under_way:
        await asyncio.sleep(0.01)
    again = await score(scorer, worker.alias)
    assert (again.values, again.tasks) == ([2.0, 4.0, 8.0], 0)


async def test_an_alias_that_nobody_ever_announced_is_told(scorer: CeleryScorer) -> None:
    scored = await score(scorer, "nobody")
    assert isinstance(scored.failure, NoWorker)
    assert "nobody" in str(scored.failure)


async def test_stored_scores_serve_while_no_worker_lives(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    await score(scorer, worker.alias)
    worker.die()
    await scorer.directory.refresh()
    assert (await score(scorer, worker.alias)).cache_hits == 3
    missing = await score(scorer, worker.alias, [*DOCUMENTS, "new"])
    assert isinstance(missing.failure, NoWorker)
    assert missing.values == [2.0, 4.0, 8.0, None]


async def test_a_worker_that_dies_while_it_scores_is_noticed_before_the_deadline(
    scorer: CeleryScorer, worker: ScriptedWorker
) -> None:
    worker.open.clear()
    waiting = asyncio.create_task(score(scorer, worker.alias))
    while not scorer.under_way:
        await asyncio.sleep(0)
    await asyncio.to_thread(worker.die)
    assert isinstance((await waiting).failure, NoWorker)


async def test_a_models_failure_is_told_in_its_own_words(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    worker.answer = lambda request: Reply(id=request.id, error=("ModelFailed", "a score is NaN"))
    scored = await score(scorer, worker.alias)
    assert isinstance(scored.failure, ModelFailed)
    assert str(scored.failure) == "a score is NaN"


async def test_a_failure_is_not_kept(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    worker.answer = lambda request: Reply(id=request.id, error=("ModelFailed", "once"))
    await score(scorer, worker.alias)
    worker.answer = None
    assert (await score(scorer, worker.alias)).values == [2.0, 4.0, 8.0]


async def test_with_no_server_at_all_the_failure_names_it() -> None:
    async with scoring.connect(urls("redis://127.0.0.1:1/0"), HASHER) as scorer:
        failure = (await score(scorer, "any")).failure
    assert isinstance(failure, QueueUnavailable)


async def test_a_cache_that_is_down_costs_nothing_but_the_cache(
    worker: ScriptedWorker, valkey: RunningValkey, tmp_path: object
) -> None:
    servers = env.Urls(broker=valkey.url, state=valkey.url, cache="redis://127.0.0.1:1/0")
    async with scoring.connect(servers, HASHER) as scorer:
        assert (await score(scorer, worker.alias)).values == [2.0, 4.0, 8.0]


async def test_redis_going_away_mid_task_is_told_at_once(worker: ScriptedWorker) -> None:
    with start_valkey(in_memory=True) as server, ScriptedWorker(url=server.url, alias="short-lived") as doomed:
        async with scoring.connect(urls(server.url), HASHER) as scorer:
            doomed.open.clear()
            waiting = asyncio.create_task(score(scorer, doomed.alias))
            while not doomed.holding.is_set():
                await asyncio.sleep(0.01)
            server.child.guard.kill()
            assert isinstance((await waiting).failure, QueueUnavailable | NoWorker)


async def test_texts_are_embedded_by_the_worker(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    vectors = await scorer.embed(["four", "seven77"], deadline=time.monotonic() + LONG, model=worker.alias)
    assert vectors == [[4.0], [7.0]]


async def test_the_same_query_is_embedded_once(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    for _ in range(2):
        assert await scorer.embed(["five!"], deadline=time.monotonic() + LONG, model=worker.alias) == [[5.0]]
    assert worker.embedded == [("five!",)]


async def test_without_a_bi_encoder_the_error_says_which_command_starts_one(scorer: CeleryScorer) -> None:
    with pytest.raises(NoWorker, match="rerank-bridge worker --kind embed"):
        await scorer.embed(["text"], deadline=time.monotonic() + LONG, model="nobody")
