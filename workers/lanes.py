"""Pure bookkeeping of what waits for the model: items shared by requests, lanes, and whose turn it is.

Not thread-safe: the batcher calls it under its lock. Time comes in as an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

from connector.contract import names

__all__ = ["LOW", "Done", "Entry", "Item", "Lanes", "Work"]

T = TypeVar("T")

LaneName = Literal["interactive", "batch", "low"]
LOW: Final = "low"
#: Seconds after which waiting batch work gets a turn although interactive work waits too.
BATCH_AGE = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One thing to run through the model. Two items with one key have one result."""

    key: Hashable
    tokens: int
    payload: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Done(Generic[T]):
    """Results in the order of the request's items, and the seconds it waited and ran."""

    values: list[T]
    queue_s: float
    score_s: float


@dataclass(eq=False, slots=True)
class Entry(Generic[T]):
    """An item and the requests that wait for it. It leaves `Lanes.pending` when it is settled."""

    item: Item
    since: float
    waiters: list[Work[T]] = field(default_factory=list)
    taken: bool = False
    low: bool = False
    value: T | None = None


@dataclass(eq=False, slots=True)
class Work(Generic[T]):
    """One request. Its future gets a `Done`, or the exception of the first item that failed."""

    deadline: float
    arrived: float
    lane: LaneName
    future: Future[Done[T]] = field(default_factory=Future)
    #: One an item of the request; the same entry twice where the request repeats an item.
    entries: list[Entry[T]] = field(default_factory=list)
    #: Entries not yet looked at by `Lanes.take`, longest first, so that a batch has little padding.
    untaken: deque[Entry[T]] = field(default_factory=deque)
    unsettled: int = 0
    started: float | None = None

    def waiting_tokens(self) -> int:
        """Tokens that nobody has taken yet."""
        return sum(entry.item.tokens for entry in self.untaken if not entry.taken)


class Lanes(Generic[T]):
    """Interactive, batch and low lane.

    `low_tokens` bounds the low lane: what expires when it is full is dropped.
    """

    def __init__(self, *, low_tokens: int) -> None:
        self._queues: dict[LaneName, deque[Work[T]]] = {names.INTERACTIVE: deque(), names.BATCH: deque(), LOW: deque()}
        self._low_limit = low_tokens
        self._low_tokens = 0
        self._batch_turn = 0.0
        #: Entries that wait or run, by key.
        self.pending: dict[Hashable, Entry[T]] = {}
        #: Tokens that wait in all lanes.
        self.tokens = 0

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def count(self, lane: LaneName) -> int:
        """Requests that wait in one lane."""
        return len(self._queues[lane])

    def new_tokens(self, items: Iterable[Item]) -> int:
        """Tokens that `items` would add to what waits."""
        return sum(tokens for key, tokens in {i.key: i.tokens for i in items}.items() if key not in self.pending)

    def add(self, items: Sequence[Item], *, lane: names.Lane, deadline: float, now: float) -> Work[T]:
        """Queues a request; items that already wait or run for another are joined."""
        work: Work[T] = Work(deadline=deadline, arrived=now, lane=lane)
        for item in items:
            entry = self.pending.get(item.key)
            if entry is None:
                entry = self.pending[item.key] = Entry(item, now)
                self.tokens += item.tokens
            if work not in entry.waiters:
                entry.waiters.append(work)
                work.unsettled += 1
                work.untaken.append(entry)
            work.entries.append(entry)
        work.untaken = deque(sorted(work.untaken, key=lambda entry: -entry.item.tokens))
        self._queues[lane].append(work)
        return work

    def expire(self, now: float) -> list[Work[T]]:
        """Moves work whose deadline passed to the low lane; returns what did not fit there."""
        dropped: list[Work[T]] = []
        for lane in (names.INTERACTIVE, names.BATCH):
            queue = self._queues[lane]
            late = [work for work in queue if work.deadline <= now]
            if not late:
                continue
            self._queues[lane] = deque(work for work in queue if work.deadline > now)
            dropped += [work for work in late if not self._demote(work)]
        return dropped

    def take(self, budget: int, now: float) -> tuple[LaneName, list[Entry[T]]]:
        """The next batch: entries of one lane, about `budget` tokens.

        A request that goes over the budget by less than half of it is taken whole; a longer one lets the others pass
        after each batch, so that nobody waits behind it for more than one.
        """
        lane = self._turn(now)
        if lane == names.BATCH:
            self._batch_turn = now
        queue = self._queues[lane]
        taken: list[Entry[T]] = []
        left = budget
        while queue and left > 0:
            work = queue.popleft()
            whole = work.waiting_tokens() <= left + budget // 2
            while work.untaken and (whole or left > 0):
                entry = work.untaken.popleft()
                if not entry.taken:
                    self._mark_taken(entry, now)
                    taken.append(entry)
                    left -= entry.item.tokens
            if work.untaken:
                queue.append(work)
        return lane, taken

    def settle(self, entry: Entry[T], value: T) -> list[Work[T]]:
        """Gives an entry its value; returns the requests that are complete with it."""
        entry.value = value
        self._forget(entry)
        complete = []
        for work in entry.waiters:
            work.unsettled -= 1
            if work.unsettled == 0:
                complete.append(work)
                self._unqueue(work)
        return complete

    def fail(self, entry: Entry[T]) -> list[Work[T]]:
        """Settles an entry that has no value; returns the requests that fail with it."""
        self._forget(entry)
        failed = list(entry.waiters)
        for work in failed:
            self.drop(work)
        return failed

    def drop(self, work: Work[T]) -> None:
        """Forgets a request, and those of its items that nobody else waits for."""
        self._unqueue(work)
        for entry in work.entries:
            if work in entry.waiters:
                entry.waiters.remove(work)
            if not entry.waiters and not entry.taken:
                self._forget(entry)

    def drain_low(self) -> list[Work[T]]:
        """Empties the low lane and returns what was in it."""
        works = list(self._queues[LOW])
        for work in works:
            self.drop(work)
        return works

    def _turn(self, now: float) -> LaneName:
        interactive, batch = self._queues[names.INTERACTIVE], self._queues[names.BATCH]
        if batch and (not interactive or now - max(batch[0].arrived, self._batch_turn) > BATCH_AGE):
            return names.BATCH
        return names.INTERACTIVE if interactive else LOW

    def _demote(self, work: Work[T]) -> bool:
        fresh = [entry for entry in work.untaken if not entry.taken and not entry.low]
        tokens = sum(entry.item.tokens for entry in fresh)
        if self._low_tokens + tokens > self._low_limit:
            self.drop(work)
            return False
        for entry in fresh:
            entry.low = True
        self._low_tokens += tokens
        work.lane = LOW
        if work.untaken:
            self._queues[LOW].append(work)
        return True

    def _mark_taken(self, entry: Entry[T], now: float) -> None:
        entry.taken = True
        self._uncount(entry)
        for work in entry.waiters:
            if work.started is None:
                work.started = now

    def _forget(self, entry: Entry[T]) -> None:
        if self.pending.pop(entry.item.key, None) is not None and not entry.taken:
            entry.taken = True
            self._uncount(entry)

    def _uncount(self, entry: Entry[T]) -> None:
        self.tokens -= entry.item.tokens
        if entry.low:
            self._low_tokens -= entry.item.tokens

    def _unqueue(self, work: Work[T]) -> None:
        queue = self._queues[work.lane]
        if work in queue:
            queue.remove(work)
