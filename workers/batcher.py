"""The thread that owns the model: when it is free it takes what waits, with no timer.

Interactive work first, batch work when it has waited long enough, then work whose deadline has passed and that still
fills the cache. Items that several requests ask for run once. A failed batch fails every request that has an item in
it, and no other. A batch that does not fit into memory is split, and later ones are smaller.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from connector.contract import names
from connector.contract.errors import ModelFailed, RerankBridgeError, Shed
from workers.lanes import LOW, Done, Entry, Item, Lanes, Work

__all__ = ["BatchStats", "Batcher", "Item", "Load", "OutOfMemory"]

T = TypeVar("T")
logger = logging.getLogger(__name__)

#: Seconds: what waited longer is looked up in the cache again, since another worker may have scored it.
RECHECK_AFTER = 0.02
#: A batch is never made smaller than this, in tokens.
MIN_BATCH_TOKENS = 64
#: Weight of the newest batch in the moving averages.
_NEWEST = 0.2


class OutOfMemory(ModelFailed):
    """The device's memory does not hold this batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What waits and runs now, and how fast it moves."""

    waiting: int
    waiting_tokens: int
    in_flight: int
    ms_per_1000_tokens: float
    queue_wait_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchStats:
    """One batch, after it ran."""

    lane: str
    items: int
    tokens: int
    #: Share of `batch_tokens` that it filled; above 1 where a request was taken whole.
    fill: float
    #: Items found in the cache, which did not run.
    cached: int
    #: Seconds: the longest wait of an item, and the model's work.
    waited: float
    seconds: float
    failed: str | None


class Batcher(Generic[T]):
    """Runs items through `run` in batches, on one thread.

    `run` gets items and returns one result each: a value, or an exception where that item alone has none.
    `recheck`, where given, returns the values that are known by now for some keys.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[T | Exception]],
        *,
        batch_tokens: int,
        waiting_tokens: int = 1 << 20,
        low_tokens: int = 1 << 20,
        batch_works: int = 16,
        recheck: Callable[[Sequence[Hashable]], Mapping[Hashable, T]] | None = None,
        observe: Callable[[BatchStats], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.batch_tokens = batch_tokens
        self._run = run
        self._recheck = recheck
        self._observe = observe
        self._clock = clock
        self._waiting_limit = waiting_tokens
        self._batch_limit = batch_works
        self._lanes: Lanes[T] = Lanes(low_tokens=low_tokens)
        self._wake = threading.Condition()
        self._stopping = False
        self._in_flight = 0
        self._ms_per_1000_tokens = 0.0
        self._queue_wait_ms = 0.0
        self._thread = threading.Thread(target=self._loop, name="batcher", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Finishes what waits, gives up the low lane, and ends the thread; safe to call twice."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def submit(self, items: Sequence[Item], *, lane: names.Lane, deadline: float) -> Future[Done[T]]:
        """Queues a request until `deadline`, an instant of the batcher's clock.

        After that its future stays valid: the work goes on in the low lane as long as there is room.

        Raises:
            Shed: too much waits already, or the worker shuts down.
        """
        if not items:
            done: Future[Done[T]] = Future()
            done.set_result(Done(values=[], queue_s=0.0, score_s=0.0))
            return done
        with self._wake:
            self._refuse_overload(items, lane)
            work = self._lanes.add(items, lane=lane, deadline=deadline, now=self._clock())
            self._wake.notify()
        return work.future

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping

    def load(self) -> Load:
        """What waits and runs now."""
        with self._wake:
            return Load(
                waiting=len(self._lanes),
                waiting_tokens=self._lanes.tokens,
                in_flight=self._in_flight,
                ms_per_1000_tokens=self._ms_per_1000_tokens,
                queue_wait_ms=self._queue_wait_ms,
            )

    def _refuse_overload(self, items: Sequence[Item], lane: names.Lane) -> None:
        if self._stopping:
            raise Shed("the worker shuts down")
        if lane == names.BATCH and self._lanes.count(names.BATCH) >= self._batch_limit:
            raise Shed(f"{self._batch_limit} batch requests wait in this worker already: send fewer at once")
        waiting = self._lanes.tokens
        if waiting and waiting + self._lanes.new_tokens(items) > self._waiting_limit:
            raise Shed(f"{waiting} tokens wait in this worker already")

    def _loop(self) -> None:
        while True:
            with self._wake:
                while not self._lanes and not self._stopping:
                    self._wake.wait()
                if not self._lanes:
                    return
                now = self._clock()
                dropped = self._lanes.expire(now)
                given_up = self._lanes.drain_low() if self._stopping else []
                lane, entries = self._lanes.take(self.batch_tokens, now)
                self._in_flight = len({id(work) for entry in entries for work in entry.waiters})
            self._refuse(dropped, "the deadline passed, and the low lane is full")
            self._refuse(given_up, "the worker shuts down")
            if entries:
                self._serve(lane, entries, now)

    def _serve(self, lane: str, entries: list[Entry[T]], now: float) -> None:
        known = self._known(entries, now)
        missing = [entry for entry in entries if entry.item.key not in known]
        began = self._clock()
        results = self._results(missing)
        seconds = self._clock() - began
        with self._wake:
            finished = self._settle([(e, known[e.item.key]) for e in entries if e.item.key in known])
            finished += self._settle(list(zip(missing, results, strict=True)))
            self._in_flight = 0
        waited = now - min(entry.since for entry in entries)
        tokens = sum(entry.item.tokens for entry in missing)
        self._measure(lane, waited, tokens, seconds)
        if self._observe is not None:
            failures = [result for result in results if isinstance(result, Exception)]
            self._observe(
                BatchStats(
                    lane=lane,
                    items=len(missing),
                    tokens=tokens,
                    fill=tokens / self.batch_tokens,
                    cached=len(known),
                    waited=waited,
                    seconds=seconds,
                    failed=type(failures[0]).__name__ if failures else None,
                )
            )
        self._announce(finished)

    def _known(self, entries: list[Entry[T]], now: float) -> Mapping[Hashable, T]:
        if self._recheck is None:
            return {}
        keys = [entry.item.key for entry in entries if now - entry.since > RECHECK_AFTER]
        try:
            return self._recheck(keys) if keys else {}
        except Exception:
            logger.exception("the cache could not be asked again")
            return {}

    def _results(self, entries: list[Entry[T]]) -> list[T | Exception]:
        """One result per entry. The model's exceptions become results: this thread must never end by one."""
        if not entries:
            return []
        try:
            return self._checked_run(entries)
        except OutOfMemory as exc:
            tokens = sum(entry.item.tokens for entry in entries)
            self.batch_tokens = max(MIN_BATCH_TOKENS, min(self.batch_tokens, tokens // 2))
            logger.warning("out of memory with %d tokens in a batch: from now on %d", tokens, self.batch_tokens)
            if len(entries) == 1:
                return [exc]
            half = len(entries) // 2
            return self._results(entries[:half]) + self._results(entries[half:])
        except Exception as exc:
            logger.exception("a batch of %d items failed", len(entries))
            failure = exc if isinstance(exc, RerankBridgeError) else ModelFailed(f"{type(exc).__name__}: {exc}")
            return [failure] * len(entries)

    def _checked_run(self, entries: list[Entry[T]]) -> list[T | Exception]:
        results = list(self._run([entry.item for entry in entries]))
        if len(results) != len(entries):
            raise ModelFailed(f"the model gave {len(results)} results for {len(entries)} items")
        return results

    def _settle(self, results: list[tuple[Entry[T], T | Exception]]) -> list[tuple[Work[T], Exception | None]]:
        finished: list[tuple[Work[T], Exception | None]] = []
        for entry, result in results:
            if isinstance(result, Exception):
                finished += [(work, result) for work in self._lanes.fail(entry)]
            else:
                finished += [(work, None) for work in self._lanes.settle(entry, result)]
        return finished

    def _announce(self, finished: list[tuple[Work[T], Exception | None]]) -> None:
        """Resolves futures, outside the lock: their callbacks run here."""
        now = self._clock()
        for work, failure in finished:
            if failure is not None:
                work.future.set_exception(failure)
                continue
            started = work.arrived if work.started is None else work.started
            values = [entry.value for entry in work.entries]
            work.future.set_result(Done(values=values, queue_s=started - work.arrived, score_s=now - started))  # type: ignore[arg-type]  # settled entries have a value

    def _refuse(self, works: list[Work[T]], why: str) -> None:
        for work in works:
            work.future.set_exception(Shed(why))

    def _measure(self, lane: str, waited: float, tokens: int, seconds: float) -> None:
        if lane != LOW:
            self._queue_wait_ms += _NEWEST * (waited * 1000 - self._queue_wait_ms)
        if tokens:
            cost = seconds * 1e6 / tokens
            previous = self._ms_per_1000_tokens or cost
            self._ms_per_1000_tokens = previous + _NEWEST * (cost - previous)
