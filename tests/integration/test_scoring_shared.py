"""Searches that share tasks, and servers that hang: whoever has time left gets scores."""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from connector import scoring
from connector.contract import env, keys, names
from connector.contract.errors import ModelFailed, QueueUnavailable, ScoringTimeout, Shed
from connector.contract.names import BATCH, INTERACTIVE
from connector.contract.wire import Reply
from connector.embedded.valkey import RunningValkey, start_valkey
from connector.scoring import Scored
from connector.scoring.celery_scorer import CeleryScorer
from tests.fixtures.scripted import ScriptedWorker

HASHER = keys.Hasher(b"a key for the tests only")
DOCUMENTS = ["one", "three", "seventeen"]
SCORES = [2.0, 4.0, 8.0]
LONG = 60.0


@pytest.fixture
def worker(valkey: RunningValkey) -> Iterator[ScriptedWorker]:
    with ScriptedWorker(url=valkey.url, alias=uuid.uuid4().hex) as running:
        yield running


@pytest.fixture
async def scorer(valkey: RunningValkey) -> AsyncIterator[CeleryScorer]:
    urls = env.Urls(broker=valkey.url, state=valkey.url, cache=valkey.url)
    async with scoring.connect(urls, HASHER) as connected:
        yield connected


def asking(
    scorer: CeleryScorer, worker: ScriptedWorker, within: float = LONG, lane: names.Lane = INTERACTIVE
) -> asyncio.Task[Scored]:
    until = time.monotonic() + within
    asked = scorer.score(model=worker.alias, query="q", documents=DOCUMENTS, deadline=until, lane=lane)
    return asyncio.create_task(asked)


async def sent(worker: ScriptedWorker) -> None:
    while not worker.holding.is_set():
        await asyncio.sleep(0.01)


async def test_a_search_does_not_wait_behind_batch_work_for_the_same_pairs(
    scorer: CeleryScorer, worker: ScriptedWorker
) -> None:
    worker.open.clear()
    batch = asking(scorer, worker, lane=BATCH)
    await sent(worker)
    hurried = asking(scorer, worker)
    while (await queued(scorer, worker, INTERACTIVE)) == 0:
        await asyncio.sleep(0.01)
    worker.open.set()
    for task in (batch, hurried):
        assert ((await task).values, (await task).tasks) == (SCORES, 1)


async def test_batch_work_waits_for_a_searchs_task(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    worker.open.clear()
    search = asking(scorer, worker)
    await sent(worker)
    batch = asking(scorer, worker, lane=BATCH)
    await asyncio.sleep(0)
    worker.open.set()
    assert ((await search).values, (await batch).values) == (SCORES, SCORES)
    assert len(worker.requests) == 1


async def test_who_joined_a_hurried_search_outlives_its_deadline(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    worker.open.clear()
    hurried = asking(scorer, worker, within=1.0)
    await sent(worker)
    patient = asking(scorer, worker)
    assert isinstance((await hurried).failure, ScoringTimeout)
    worker.open.set()
    scored = await patient
    assert (scored.values, scored.failure) == (SCORES, None)


async def test_what_was_shed_for_a_hurried_search_is_sent_again_for_a_patient_one(
    scorer: CeleryScorer, worker: ScriptedWorker
) -> None:
    worker.answer = lambda request: Reply(id=request.id, error=("Shed", "too late for this one"))
    worker.open.clear()
    hurried = asking(scorer, worker, within=LONG / 2)
    await sent(worker)
    patient = asking(scorer, worker)
    await asyncio.sleep(0)
    hurried.add_done_callback(lambda _: setattr(worker, "answer", None))
    worker.open.set()
    assert isinstance((await hurried).failure, Shed)
    scored = await patient
    assert scored.failure is None or isinstance(scored.failure, Shed)
    assert len(worker.requests) == 2


async def test_a_search_that_is_cancelled_while_its_task_is_sent_leaves_the_task_to_the_others(
    scorer: CeleryScorer, worker: ScriptedWorker
) -> None:
    first = asking(scorer, worker)
    while not scorer.under_way:
        await asyncio.sleep(0)
    second = asking(scorer, worker)
    first.cancel()
    assert (await second).values == SCORES
    assert len(worker.requests) == 1


async def test_fewer_scores_than_documents_are_a_failure(scorer: CeleryScorer, worker: ScriptedWorker) -> None:
    worker.answer = lambda request: Reply(id=request.id, values=(1.0,))
    scored = await asking(scorer, worker)
    assert isinstance(scored.failure, ModelFailed)
    assert scored.values == [None] * 3


async def test_a_cache_that_hangs_leaves_time_for_the_worker(valkey: RunningValkey, worker: ScriptedWorker) -> None:
    with start_valkey(in_memory=True) as cache:
        urls = env.Urls(broker=valkey.url, state=valkey.url, cache=cache.url)
        async with scoring.connect(urls, HASHER) as scorer:
            os.kill(cache.child.pid, signal.SIGSTOP)
            try:
                scored = await asking(scorer, worker, within=4.0)
            finally:
                os.kill(cache.child.pid, signal.SIGCONT)
    assert (scored.values, scored.failure) == (SCORES, None)


async def test_once_the_state_redis_is_known_to_be_away_nobody_waits_for_it(worker: ScriptedWorker) -> None:
    with start_valkey(in_memory=True) as server, ScriptedWorker(url=server.url, alias="away") as doomed:
        urls = env.Urls(broker=server.url, state=server.url, cache=server.url)
        async with scoring.connect(urls, HASHER) as scorer:
            assert (await asking(scorer, doomed)).values == SCORES
            server.child.guard.kill()
            while scorer.directory.answers:
                await asyncio.sleep(0.01)
            until = time.monotonic() + LONG
            scored = await scorer.score(model="away", query="new", documents=DOCUMENTS, deadline=until)
    assert isinstance(scored.failure, QueueUnavailable)


async def queued(scorer: CeleryScorer, worker: ScriptedWorker, lane: names.Lane) -> int:
    """Tasks of the worker's model that wait in the broker."""
    async with env.async_redis(worker.url) as broker:
        return int(await broker.llen(names.queue(worker.fingerprint, lane)))  # type: ignore[misc]
