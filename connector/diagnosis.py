"""Looks at everything that a reranked search needs, and says of each part how it is and what to do."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import redis

from connector import engines, scoring
from connector.contract import env, names
from connector.contract.errors import QueueUnavailable, RerankBridgeError
from connector.contract.heartbeats import Heartbeat
from connector.scoring.directory import Directory
from connector.settings import Settings

__all__ = ["Check", "examine"]

Verdict = Literal["ok", "warn", "fail"]

#: The versions that the tests of this project run against.
_TESTED = {"elasticsearch": 9, "opensearch": 3}
_QUERY = "which metal is liquid at room temperature"
_DOCUMENTS = ("Mercury is a metal that is liquid at room temperature.", "The bus to the harbour leaves at nine.")
_LANES: tuple[names.Lane, ...] = (names.INTERACTIVE, names.BATCH)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One part, how it is, and what to do about it ("" when there is nothing to do)."""

    name: str
    verdict: Verdict
    detail: str
    advice: str = ""


async def examine(
    settings: Settings, environment: Mapping[str, str], *, model: str = "default", deadline: float = 10.0
) -> list[Check]:
    """Every check, in the order of a search's way. None raises.

    Args:
        model: alias of the cross-encoder to score with.
        deadline: seconds for the test score.
    """
    checks = [await _engine(settings), _hash_key(environment)]
    state, cache = env.async_redis(settings.urls.state), env.async_redis(settings.urls.cache)
    try:
        checks.append(await _redis("state", settings.urls.state, state, may_evict=False))
        apart = settings.urls.cache != settings.urls.state
        checks.append(await _redis("cache", settings.urls.cache, cache, may_evict=apart))
        beats, workers = await _workers(Directory(state), model)
    finally:
        await state.aclose()
        await cache.aclose()
    checks.append(await asyncio.to_thread(_broker, settings.urls, beats))
    checks += workers
    checks.append(await _score(settings, model, deadline))
    return checks


async def _engine(settings: Settings) -> Check:
    try:
        engine = await engines.connect(settings.engine_url, ca_file=settings.ca_file, api_key=settings.api_key)
    except RerankBridgeError as exc:
        return Check(
            name="engine", verdict="fail", detail=str(exc), advice="set RERANK_BRIDGE_ENGINE_URL to where it is"
        )
    await engine.close()
    detail = f"{engine.name} {'.'.join(map(str, engine.version))} at {engine.url}"
    if engine.version[0] != _TESTED[engine.name]:
        advice = f"spoken to by what it reports; the tests run on {_TESTED[engine.name]}.x only"
        return Check(name="engine", verdict="warn", detail=detail, advice=advice)
    return Check(name="engine", verdict="ok", detail=detail)


def _hash_key(environment: Mapping[str, str]) -> Check:
    if environment.get("RERANK_BRIDGE_HASH_KEY"):
        return Check(name="hash key", verdict="ok", detail="set")
    return Check(
        name="hash key",
        verdict="warn",
        detail="RERANK_BRIDGE_HASH_KEY is not set: who can write documents could forge another's score",
        advice="set it to 32 random characters, the same for every connector (openssl rand -hex 16)",
    )


async def _redis(role: str, url: str, client: redis.asyncio.Redis, *, may_evict: bool) -> Check:
    try:
        info: dict[str, Any] = await client.info("memory")
    except (redis.RedisError, OSError) as exc:
        advice = f"start it, or set RERANK_BRIDGE_{role.upper()}_URL to where it is"
        return Check(name=role, verdict="fail", detail=f"{_shown(url)} does not answer: {exc}", advice=advice)
    limit, policy = int(info.get("maxmemory", 0)), str(info.get("maxmemory_policy", "unknown"))
    bound = f"{limit / 2**20:,.0f} MB, {policy}" if limit else "no memory limit"
    detail = f"{_shown(url)}, {bound}"
    evicts = limit > 0 and policy != "noeviction"
    if evicts and not may_evict:
        advice = (
            "set maxmemory-policy noeviction there, or give the scores a server of their own (RERANK_BRIDGE_CACHE_URL)"
        )
        return Check(
            name=role, verdict="fail", detail=f"{detail}: it may drop replies, heartbeats, tasks", advice=advice
        )
    if may_evict and limit and not evicts:
        advice = "set maxmemory-policy allkeys-lru there"
        return Check(name=role, verdict="warn", detail=f"{detail}: when it is full no score is stored", advice=advice)
    return Check(name=role, verdict="ok", detail=detail)


def _broker(urls: env.Urls, beats: list[Heartbeat]) -> Check:
    import celery
    import kombu.exceptions

    shown = _shown(urls.broker)
    options = {"socket_connect_timeout": 2, "socket_timeout": 2, "max_retries": 0}
    app = celery.Celery("rerank-bridge", broker=urls.broker, set_as_current=False)
    app.conf.update(broker_connection_timeout=2, broker_transport_options=options)
    connection = app.connection_for_read()
    queues = sorted({names.queue(beat.fingerprint, lane) for beat in beats for lane in _LANES})
    try:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)
        depth = sum(_waiting(connection, queue) for queue in queues)
    except (kombu.exceptions.OperationalError, OSError, *connection.connection_errors) as exc:
        advice = "start it, or set RERANK_BRIDGE_BROKER_URL to where it is"
        return Check(name="queue", verdict="fail", detail=f"{shown} does not answer: {exc}", advice=advice)
    finally:
        connection.release()
        app.close()
    return Check(name="queue", verdict="ok", detail=f"{shown}, {depth} waiting in {len(queues)} queues")


def _waiting(connection: Any, queue: str) -> int:
    """Tasks that no worker has taken yet; a queue that never held one does not exist."""
    channel = connection.channel()
    try:
        return int(channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors:
        return 0
    finally:
        channel.close()


async def _workers(directory: Directory, model: str) -> tuple[list[Heartbeat], list[Check]]:
    try:
        await directory.refresh()
        remembered = await directory.resolve(model)
    except QueueUnavailable as exc:
        advice = "workers announce themselves there: see state above"
        return [], [Check(name="worker", verdict="fail", detail=str(exc), advice=advice)]
    beats = directory.workers()
    checks = [_worker(beat, beats) for beat in beats]
    if not any(beat.alias == model for beat in beats):
        detail = f"none serves {model!r}"
        if remembered:
            detail += f"; scores stored from {remembered.model} are still used"
        option = "" if model == "default" else f" --alias {model}"
        advice = f"start one where RERANK_BRIDGE_BROKER_URL and …_STATE_URL are the same: rerank-bridge worker{option}"
        checks.append(Check(name="worker", verdict="fail", detail=detail, advice=advice))
    return beats, checks


def _worker(beat: Heartbeat, beats: list[Heartbeat]) -> Check:
    minutes = max(0.0, time.time() - beat.started) / 60
    detail = (
        f"{beat.alias} = {beat.model} on {beat.backend} {beat.device} {beat.precision}, {beat.host} pid {beat.pid}, "
        f"up {minutes:.0f} min, {beat.waiting} waiting, {beat.in_flight} under way"
    )
    others = {other.fingerprint for other in beats if other.alias == beat.alias} - {beat.fingerprint}
    if others:
        advice = "the model that was started last serves; stop the other when the change is done"
        return Check(name="worker", verdict="warn", detail=f"{detail}; another model has this alias too", advice=advice)
    return Check(name="worker", verdict="ok", detail=detail)


async def _score(settings: Settings, model: str, deadline: float) -> Check:
    # A query that nobody asked before: stored scores would prove nothing.
    query = f"{_QUERY} {uuid.uuid4().hex[:8]}"
    started = time.monotonic()
    async with scoring.connect(settings.urls, settings.hasher) as scorer:
        until = started + deadline
        scored = await scorer.score(model=model, query=query, documents=_DOCUMENTS, deadline=until)
    if scored.failure:
        return Check(
            name="score", verdict="fail", detail=str(scored.failure), advice="mend what fails above, then again"
        )
    on_topic, off_topic = (math.nan if value is None else value for value in scored.values)
    detail = (
        f"{1000 * (time.monotonic() - started):.0f} ms there and back ({1000 * scored.score_s:.0f} ms in the model)"
    )
    if not on_topic > off_topic:
        advice = "look at the model: is it a cross-encoder for reranking?"
        detail += f", but a text on the topic gets {on_topic:.2f} and one off it {off_topic:.2f}"
        return Check(name="score", verdict="warn", detail=detail, advice=advice)
    return Check(name="score", verdict="ok", detail=detail)


def _shown(url: str) -> str:
    """`url` without user and password."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
