"""How long a search takes: timings of searches that ran alone, and their percentiles. Remembered beside the scores.

A repeated evaluation finds every score stored and would measure the cache; it tells the remembered timings instead,
which live as long as the scores do.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import redis

from connector.contract import env, names, scores
from connector.contract.errors import QueueUnavailable

__all__ = ["Latency", "Timing", "percentile", "plan", "recall", "remember", "summary"]

#: Queries that run alone at most; the others run several at a time.
_ALONE = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """One search that had the machine for itself."""

    window: int
    #: Seconds in the first stage, and from there to the last score.
    first_stage_s: float
    scoring_s: float
    #: Candidates whose score was stored before.
    cached: int

    @property
    def total_ms(self) -> float:
        """Milliseconds of the whole search."""
        return 1000 * (self.first_stage_s + self.scoring_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """What the timings say, in milliseconds."""

    timings: tuple[Timing, ...]
    #: The window asked for.
    window: int
    #: Whether all scores were computed; else some came from the cache.
    cold: bool

    def at(self, window: int) -> list[float]:
        """The timings at one window."""
        return [timing.total_ms for timing in self.timings if timing.window == window]

    @property
    def first_stage(self) -> list[float]:
        """The first stage's part of every timing."""
        return [1000 * timing.first_stage_s for timing in self.timings]

    def summary(self) -> dict[str, Any]:
        """For JSON: `p50` and `p99` are those of the window asked for."""
        windows = sorted({timing.window for timing in self.timings})
        return {
            **_percentiles(self.at(self.window)),
            "cold": self.cold,
            "first_stage": _percentiles(self.first_stage),
            "by_window": {str(window): _percentiles(self.at(window)) for window in windows},
        }


def plan(queries: int, window: int, windows: Sequence[int]) -> list[int]:
    """The windows at which the queries that run alone are timed: every other one at `window`, the rest elsewhere."""
    others = [each for each in windows if each != window] or [window]
    return [window if n % 2 == 0 else others[n // 2 % len(others)] for n in range(min(queries, _ALONE))]


def summary(timings: Iterable[Timing], window: int) -> Latency:
    """The timings without a cached score, or, where none is left at `window`, all of them."""
    every = tuple(timings)
    cold = tuple(timing for timing in every if not timing.cached)
    usable = any(timing.window == window for timing in cold)
    return Latency(timings=cold if usable else every, window=window, cold=usable)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed, by linear interpolation (R-7)."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=1000, method="inclusive")[round(1000 * share) - 1]


def _percentiles(values: Sequence[float]) -> dict[str, float | int | None]:
    if not values:
        return {"p50": None, "p99": None, "queries": 0}
    rounded = {name: round(percentile(values, share), 3) for name, share in (("p50", 0.5), ("p99", 0.99))}
    return {**rounded, "queries": len(values)}


def remember(urls: env.Urls, what: Iterable[object], latency: Latency) -> None:
    """Keeps cold timings in the cache Redis under a digest of `what` was measured.

    Raises:
        QueueUnavailable: the cache does not answer.
    """
    if latency.cold:
        data = json.dumps([asdict(timing) for timing in latency.timings])
        with _cache(urls) as cache:
            cache.set(_key(what), data, ex=scores.TTL)


def recall(urls: env.Urls, what: Iterable[object], window: int) -> Latency | None:
    """What `remember` kept, or None.

    Raises:
        QueueUnavailable: the cache does not answer.
    """
    with _cache(urls) as cache:
        data = cache.get(_key(what))
    if not isinstance(data, bytes):
        return None
    return summary((Timing(**timing) for timing in json.loads(data)), window)


def _key(what: Iterable[object]) -> str:
    return names.EVALUATE_PREFIX + hashlib.sha256(repr(list(what)).encode()).hexdigest()[:32]


@contextlib.contextmanager
def _cache(urls: env.Urls) -> Iterator[redis.Redis]:
    client = env.sync_redis(urls.cache)
    try:
        yield client
    except (redis.RedisError, OSError) as exc:
        raise QueueUnavailable(f"the cache Redis does not answer: {exc}") from exc
    finally:
        client.close()
