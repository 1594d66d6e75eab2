"""Scores on a real Valkey: written once, for a bounded time, whatever else happens to the hash."""

import time
import uuid
from collections.abc import Iterator

import pytest
import redis

from connector import scoring
from connector.contract import env, keys, scores
from connector.contract.errors import WireError
from connector.contract.wire import Reply
from connector.embedded.valkey import RunningValkey
from tests.fixtures.scripted import ScriptedWorker

HASHER = keys.Hasher(b"a key for the tests only")
DOCUMENTS = ["one", "three", "seventeen"]
FIELDS = [HASHER.document(text) for text in DOCUMENTS]
VALUES = [2.0, 4.0, 8.0]
OTHERS = [20.0, 40.0, 80.0]


@pytest.fixture
def cache(valkey: RunningValkey) -> Iterator[redis.Redis]:
    with env.sync_redis(valkey.url) as client:
        yield client


@pytest.fixture
def key() -> str:
    """The hash of a query that no other test asks."""
    return keys.scores_key(uuid.uuid4().hex, "truncate", HASHER.query("q"))


@pytest.fixture
def worker(valkey: RunningValkey) -> Iterator[ScriptedWorker]:
    with ScriptedWorker(url=valkey.url, alias=uuid.uuid4().hex) as running:
        yield running


def hash_of(worker: ScriptedWorker) -> str:
    return keys.scores_key(worker.fingerprint, "truncate", HASHER.query("q"))


async def score(valkey: RunningValkey, worker: ScriptedWorker, times: int = 1) -> list[scoring.Scored]:
    """`times` searches of one connector that starts with nothing in its process."""
    async with scoring.connect(env.Urls(broker=valkey.url, state=valkey.url, cache=valkey.url), HASHER) as scorer:
        return [
            await scorer.score(model=worker.alias, query="q", documents=DOCUMENTS, deadline=time.monotonic() + 60)
            for _ in range(times)
        ]


def test_of_two_writers_the_first_is_believed_by_both(cache: redis.Redis, key: str) -> None:
    assert scores.write_once(cache, key, FIELDS[:2], VALUES[:2]) == VALUES[:2]
    assert scores.write_once(cache, key, FIELDS, OTHERS) == [2.0, 4.0, 80.0]
    assert scores.reread(cache, key, FIELDS) == [2.0, 4.0, 80.0]


async def test_connectors_read_what_workers_wrote(valkey: RunningValkey, cache: redis.Redis, key: str) -> None:
    scores.write_once(cache, key, FIELDS[:2], VALUES[:2])
    async with env.async_redis(valkey.url) as client:
        assert await scores.read(client, key, FIELDS) == [2.0, 4.0, None]


def test_scores_live_for_seven_days_give_or_take_ten_percent(cache: redis.Redis) -> None:
    lifetimes = []
    for _ in range(50):
        name = keys.scores_key(uuid.uuid4().hex, "truncate", HASHER.query("q"))
        scores.write_once(cache, name, FIELDS, VALUES)
        lifetimes.append(cache.ttl(name))
    week = 7 * 24 * 3600
    assert all(0.9 * week - 60 <= lifetime <= 1.1 * week for lifetime in lifetimes)
    assert len(set(lifetimes)) > 10


def test_the_lifetime_is_set_once(cache: redis.Redis, key: str) -> None:
    scores.write_once(cache, key, FIELDS[:1], VALUES[:1], ttl=100)
    scores.write_once(cache, key, FIELDS, VALUES)
    assert 0 < cache.ttl(key) <= 110


def test_a_hash_that_is_evicted_between_writing_and_reading_back_leaves_the_value_just_computed(
    valkey: RunningValkey, key: str
) -> None:
    class Evicting(redis.client.Pipeline):
        """Sends what a cache does to itself when it is full, between the same two commands."""

        def hmget(self, name: str, *fields: object) -> object:
            self.delete(name)
            return super().hmget(name, *fields)

    class Client(redis.Redis):
        def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Evicting:
            return Evicting(self.connection_pool, self.response_callbacks, transaction, shard_hint)

    with Client.from_url(valkey.url) as full:
        assert scores.write_once(full, key, FIELDS, VALUES) == VALUES
        assert not full.exists(key)


@pytest.mark.parametrize("junk", [b"", b"abc", b"12345678"])
def test_what_is_no_float32_is_a_wire_error(cache: redis.Redis, key: str, junk: bytes) -> None:
    cache.hset(key, FIELDS[1], junk)
    with pytest.raises(WireError, match="another program writes under this prefix"):
        scores.reread(cache, key, FIELDS)


async def test_a_search_scores_anew_what_stands_unreadable_in_the_cache(
    valkey: RunningValkey, cache: redis.Redis, worker: ScriptedWorker
) -> None:
    cache.hset(hash_of(worker), FIELDS[1], b"junk!")
    cache.expire(hash_of(worker), 600)
    worker.answer = lambda request: Reply(id=request.id, values=tuple(VALUES))
    [scored] = await score(valkey, worker)
    assert (scored.values, scored.cache_hits, scored.failure) == (VALUES, 0, None)


async def test_a_second_search_in_the_process_does_not_ask_redis(
    valkey: RunningValkey, cache: redis.Redis, worker: ScriptedWorker
) -> None:
    first = (await score(valkey, worker))[0]
    assert (first.values, first.cache_hits) == (VALUES, 0)
    before = lookups(cache)
    found, again = await score(valkey, worker, times=2)
    assert (found.cache_hits, again.cache_hits, again.values) == (3, 3, VALUES)
    assert lookups(cache) == before + 1


async def test_a_stored_score_is_shown_though_a_worker_computes_another(
    valkey: RunningValkey, cache: redis.Redis, worker: ScriptedWorker
) -> None:
    scores.write_once(cache, hash_of(worker), FIELDS[:2], OTHERS[:2])
    [scored] = await score(valkey, worker)
    assert (scored.values, scored.cache_hits) == ([20.0, 40.0, 8.0], 2)


def lookups(cache: redis.Redis) -> int:
    """HMGETs that the server has answered."""
    return int(cache.info("commandstats")["cmdstat_hmget"]["calls"])
