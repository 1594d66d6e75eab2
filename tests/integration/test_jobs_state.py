"""Job records in a real Redis: one owner, whose token is worth nothing once another has claimed; full disks."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connector.contract import env
from connector.embedded.valkey import RunningValkey
from connector.jobs.items import Bad
from connector.jobs.parts import Part
from connector.jobs.slots import Slots
from connector.jobs.spec import Spec
from connector.jobs.state import LeaseLost, State, UnknownJob
from tests.fixtures import simulated_worker
from tests.fixtures.job_site import JobSite, expected

LEASE = 0.3


@pytest.fixture
async def state(valkey: RunningValkey) -> AsyncIterator[State]:
    client = env.async_redis(valkey.url)
    yield State(client, lease=LEASE)
    await client.aclose()


@pytest.fixture
async def job(state: State) -> AsyncIterator[str]:
    name = f"state-{uuid.uuid4().hex}"
    assert await state.create(Spec(id=name, source="/x", form="documents"), "digest", {"/x": "1"}, 10)
    yield name
    await state.remove(name)


async def test_a_job_has_one_owner_and_an_expired_lease_passes_to_the_next_with_a_higher_token(
    state: State, job: str
) -> None:
    first = await state.claim(job, "a")
    assert first
    assert not await state.claim(job, "b")
    await asyncio.sleep(LEASE * 2)
    second = await state.claim(job, "b")
    assert second > first
    part = Part(chunk=3, queries=1, pairs=2, cached=0)
    for late in (state.renew(job, first, {}), state.mark(job, first, part), state.finish(job, first, "done", {})):
        with pytest.raises(LeaseLost):
            await late
    assert await state.marked(job) == set()
    assert (await state.read(job)).state == "running"


async def test_a_chunk_is_counted_once_however_often_it_is_marked(state: State, job: str) -> None:
    token = await state.claim(job, "a")
    for chunk in (0, 9, 9):
        await state.mark(job, token, Part(chunk=chunk, queries=2, pairs=7, cached=1))
    record = await state.read(job)
    assert (record.done, record.queries, record.pairs, record.cached) == (2, 4, 14, 2)
    assert await state.marked(job) == {0, 9}


async def test_bitmap_and_counts_can_be_made_those_of_the_parts(state: State, job: str) -> None:
    token = await state.claim(job, "a")
    await state.mark(job, token, Part(chunk=1, queries=1, pairs=1, cached=1))
    await state.recount(job, token, [Part(chunk=chunk, queries=1, pairs=5, cached=2) for chunk in (2, 17)])
    record = await state.read(job)
    assert (await state.marked(job), record.done, record.pairs, record.cached) == ({2, 17}, 2, 10, 4)


async def test_a_cancelled_job_is_not_finished_and_not_claimed(state: State, job: str) -> None:
    token = await state.claim(job, "a")
    assert await state.cancel(job)
    assert await state.renew(job, token, {}) == "cancelled"
    await state.finish(job, token, "done", {})
    assert (await state.read(job)).state == "cancelled"
    await state.release(job, token)
    assert not await state.claim(job, "b")
    assert not await state.cancel(job)


async def test_bad_lines_are_listed_once_in_their_order(state: State, job: str) -> None:
    for _ in range(2):
        await state.note_bad(job, (Bad(line=10, problem="b"), Bad(line=9, problem="a")))
    assert [bad.line for bad in await state.bad_lines(job)] == [9, 10]
    assert (await state.read(job)).bad == 2


async def test_a_job_that_is_not_there_is_told_so(state: State) -> None:
    with pytest.raises(UnknownJob, match="jobs list"):
        await state.read("nothing-of-this-name")


async def test_no_more_slots_are_held_than_there_are_over_all_coordinators_and_those_of_a_dead_one_come_back(
    state: State,
) -> None:
    fingerprint = uuid.uuid4().hex
    one, other = Slots(state.redis, lease=LEASE), Slots(state.redis, lease=LEASE)
    dead = one.held(fingerprint, "dead", lambda: 1)
    await dead.__aenter__()  # its coordinator dies now: nobody renews
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(LEASE / 3), other.held(fingerprint, "alive", lambda: 1):
            pass
    async with asyncio.timeout(20), other.held(fingerprint, "alive", lambda: 1):
        pass
    await dead.__aexit__(None, None, None)


def test_a_full_disk_ends_the_job_with_the_files_name_and_what_was_done_is_kept(
    valkey: RunningValkey, tmp_path: Path
) -> None:
    site = JobSite(valkey.url, tmp_path, f"full-{uuid.uuid4().hex}")
    source, out, log = site.documents(40, 6), tmp_path / "out.jsonl", tmp_path / "scored"
    with simulated_worker.running(site.environment, site.alias, log=log):
        coordinator = site.coordinator(largest_file=8000)
        try:
            ended = site.submit(source, "full", "-o", str(out), "--chunk-tokens", "512", "--wait")
        finally:
            coordinator.kill()
            coordinator.wait()
        known = site.json("status", "full")
        assert (ended.returncode, known["state"]) == (1, "failed")
        assert f"{out} cannot be written: File too large" in known["error"]
        assert not out.exists()
        coordinator = site.coordinator()
        try:
            assert site.submit(source, "full", "-o", str(out), "--chunk-tokens", "512", "--wait").returncode == 0
        finally:
            coordinator.kill()
            coordinator.wait()
        assert out.read_bytes() == expected(40, 6)
        assert len(log.read_text().splitlines()) == 240
        assert site.json("purge", "full")["purged"] == ["full"]
