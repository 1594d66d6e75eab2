"""Every task, queue and Redis name, in one place. Workers write no Redis key outside the prefixes below."""

from __future__ import annotations

from typing import Literal

__all__ = [
    "ALIAS_PREFIX",
    "BATCH",
    "COORDINATORS_KEY",
    "EMBED_TASK",
    "EVALUATE_PREFIX",
    "HEARTBEAT_PREFIX",
    "INTERACTIVE",
    "JOBS_KEY",
    "JOB_PREFIX",
    "JOB_SLOTS_PREFIX",
    "REPLY_PREFIX",
    "SCORE_PREFIX",
    "SCORE_TASK",
    "VECTOR_PREFIX",
    "WORKERS_KEY",
    "Lane",
    "alias_key",
    "heartbeat_key",
    "queue",
    "reply_key",
]

Lane = Literal["interactive", "batch"]
INTERACTIVE: Lane = "interactive"
BATCH: Lane = "batch"

SCORE_TASK = "rerank_bridge.score"
EMBED_TASK = "rerank_bridge.embed"

#: Cache Redis: one hash a (fingerprint, passage policy, query); timings that evaluations measured (connectors only).
SCORE_PREFIX = "rr:s:"
EVALUATE_PREFIX = "rr:e:"
#: Cache Redis: one string a (fingerprint, query): its vector.
VECTOR_PREFIX = "rr:v:"
#: State Redis: one list a connector process, one string a live worker, one string an alias, jobs.
REPLY_PREFIX = "rr:reply:"
HEARTBEAT_PREFIX = "rr:worker:"
ALIAS_PREFIX = "rr:alias:"
JOB_PREFIX = "rr:job:"
#: State Redis: the ids of all jobs; by model, the chunks under way of all jobs; the coordinators that live.
JOBS_KEY = "rr:jobs"
JOB_SLOTS_PREFIX = "rr:slots:"
COORDINATORS_KEY = "rr:coordinators"
#: State Redis: the set of worker ids that may be alive.
WORKERS_KEY = "rr:workers"

#: Hexadecimal digits of the fingerprint that queue names and cache keys carry.
FINGERPRINT_DIGITS = 12


def queue(fingerprint: str, lane: Lane) -> str:
    """The queue of one model and lane, as `rr.3f2a….interactive`."""
    return f"rr.{fingerprint[:FINGERPRINT_DIGITS]}.{lane}"


def reply_key(connector_id: str) -> str:
    """The list that a connector process pops its replies from."""
    return REPLY_PREFIX + connector_id


def heartbeat_key(worker_id: str) -> str:
    """The expiring string that holds a worker's last heartbeat."""
    return HEARTBEAT_PREFIX + worker_id


def alias_key(alias: str) -> str:
    """The string that remembers the last fingerprint announced for an alias."""
    return ALIAS_PREFIX + alias
