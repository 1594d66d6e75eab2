"""The batcher, with a scorer in memory that the test holds by the hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from connector.contract import names
from connector.contract.errors import ModelFailed, Shed
from workers.batcher import Batcher, BatchStats, Item, OutOfMemory

WAIT = 10.0


class Scorer:
    """Scores an item by its payload; counts its batches; waits at a gate while it is closed."""

    def __init__(self) -> None:
        self.batches: list[list[Hashable]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.fail: Callable[[Sequence[Item]], None] = lambda items: None

    def __call__(self, items: Sequence[Item]) -> list[float | Exception]:
        self.batches.append([item.key for item in items])
        self.entered.release()
        assert self.gate.wait(WAIT)
        self.fail(items)
        return [item.payload if isinstance(item.payload, Exception) else float(item.payload) for item in items]

    def wait_for_batch(self) -> None:
        assert self.entered.acquire(timeout=WAIT)


def items(*keys: str, tokens: int = 10) -> list[Item]:
    """Items whose score is the number in their key."""
    return [Item(key=key, tokens=tokens, payload=float("".join(c for c in key if c.isdigit()) or 0)) for key in keys]


def never() -> float:
    return time.monotonic() + 3600


@contextmanager
def running(scorer: Scorer, **options: object) -> Iterator[Batcher[float]]:
    batcher: Batcher[float] = Batcher(scorer, **{"batch_tokens": 100, **options})  # type: ignore[arg-type]
    batcher.start()
    try:
        yield batcher
    finally:
        scorer.gate.set()
        batcher.stop(WAIT)


@contextmanager
def busy(scorer: Scorer, **options: object) -> Iterator[Batcher[float]]:
    """A batcher whose model is at work on an item called "running" until the gate opens."""
    with running(scorer, **options) as batcher:
        scorer.gate.clear()
        batcher.submit(items("running"), lane=names.INTERACTIVE, deadline=never())
        scorer.wait_for_batch()
        yield batcher


def test_scores_come_back_in_the_order_of_the_request_although_batches_are_sorted_by_length() -> None:
    scorer = Scorer()
    asked = [Item(key=f"d{n}", tokens=n, payload=float(n)) for n in (3, 90, 7, 60, 1)]
    with running(scorer) as batcher:
        done = batcher.submit(asked, lane=names.INTERACTIVE, deadline=never()).result(WAIT)
    assert done.values == [3.0, 90.0, 7.0, 60.0, 1.0]
    assert scorer.batches[0][0] == "d90"


def test_what_waits_while_the_model_is_busy_goes_into_one_batch() -> None:
    scorer = Scorer()
    with busy(scorer) as batcher:
        futures = [batcher.submit(items(f"q{n}"), lane=names.INTERACTIVE, deadline=never()) for n in range(5)]
        scorer.gate.set()
        assert [future.result(WAIT).values for future in futures] == [[0.0], [1.0], [2.0], [3.0], [4.0]]
    assert scorer.batches[1] == ["q0", "q1", "q2", "q3", "q4"]


def test_interactive_work_passes_batch_work_that_came_earlier() -> None:
    scorer = Scorer()
    with busy(scorer) as batcher:
        batch = batcher.submit(items("b1"), lane=names.BATCH, deadline=never())
        interactive = batcher.submit(items("i1"), lane=names.INTERACTIVE, deadline=never())
        scorer.gate.set()
        batch.result(WAIT)
        interactive.result(WAIT)
    assert scorer.batches[1:] == [["i1"], ["b1"]]


def test_batch_work_gets_its_turn_although_interactive_work_never_ends() -> None:
    scorer = Scorer()
    clock = [0.0]
    with busy(scorer, clock=lambda: clock[0]) as batcher:
        batcher.submit(items("b1"), lane=names.BATCH, deadline=1e9)
        last = [batcher.submit(items(f"i{n}", tokens=100), lane=names.INTERACTIVE, deadline=1e9) for n in range(4)]
        clock[0] = 1.0
        scorer.gate.set()
        for future in last:
            future.result(WAIT)
    assert scorer.batches[1] == ["b1"]
    assert len(scorer.batches) == 6


def test_a_long_request_lets_the_others_pass_after_each_batch() -> None:
    scorer = Scorer()
    with busy(scorer) as batcher:
        long = batcher.submit(items(*(f"l{n}" for n in range(40))), lane=names.INTERACTIVE, deadline=never())
        short = batcher.submit(items("s1", "s2"), lane=names.INTERACTIVE, deadline=never())
        scorer.gate.set()
        short.result(WAIT)
        assert not any(key in ("s1", "s2") for key in scorer.batches[1])
        assert {"s1", "s2"} <= set(scorer.batches[2])
        assert long.result(WAIT).values == [float(n) for n in range(40)]


def test_a_request_a_little_over_the_budget_is_taken_whole() -> None:
    scorer = Scorer()
    with running(scorer) as batcher:
        batcher.submit(items(*(f"d{n}" for n in range(14))), lane=names.INTERACTIVE, deadline=never()).result(WAIT)
    assert [len(batch) for batch in scorer.batches] == [14]


def test_identical_items_of_several_requests_are_scored_once() -> None:
    scorer = Scorer()
    with busy(scorer) as batcher:
        first = batcher.submit(items("d1", "d2"), lane=names.INTERACTIVE, deadline=never())
        second = batcher.submit(items("d2", "d3", "d2"), lane=names.BATCH, deadline=never())
        scorer.gate.set()
        assert first.result(WAIT).values == [1.0, 2.0]
        assert second.result(WAIT).values == [2.0, 3.0, 2.0]
    assert sorted(key for batch in scorer.batches[1:] for key in batch) == ["d1", "d2", "d3"]


def test_an_item_that_is_running_is_joined_by_a_request_that_comes_meanwhile() -> None:
    scorer = Scorer()
    with busy(scorer) as batcher:
        joined = batcher.submit(items("running"), lane=names.INTERACTIVE, deadline=never())
        scorer.gate.set()
        assert joined.result(WAIT).values == [0.0]
    assert scorer.batches == [["running"]]


def test_a_failed_batch_fails_all_that_wait_for_it_and_no_others() -> None:
    scorer = Scorer()

    def fail(batch: Sequence[Item]) -> None:
        if any(item.key == "bad" for item in batch):
            raise RuntimeError("no such kernel")

    scorer.fail = fail
    with busy(scorer) as batcher:
        hit, beside, later = (
            batcher.submit(items(*keys, tokens=25), lane=names.INTERACTIVE, deadline=never())
            for keys in [("bad", "d1"), ("d2", "d3"), ("e1", "e2", "e3")]
        )
        scorer.gate.set()
        with pytest.raises(ModelFailed, match="no such kernel"):
            hit.result(WAIT)
        with pytest.raises(ModelFailed):
            beside.result(WAIT)
        assert later.result(WAIT).values == [1.0, 2.0, 3.0]
        assert batcher.submit(items("d1"), lane=names.INTERACTIVE, deadline=never()).result(WAIT).values == [1.0]


def test_an_item_without_a_value_fails_its_own_requests_only() -> None:
    scorer = Scorer()
    nan = Item(key="nan", tokens=10, payload=ModelFailed("nan"))
    with busy(scorer) as batcher:
        hit = batcher.submit([nan, *items("d1")], lane=names.INTERACTIVE, deadline=never())
        beside = batcher.submit(items("d1", "d2"), lane=names.INTERACTIVE, deadline=never())
        scorer.gate.set()
        with pytest.raises(ModelFailed, match="nan"):
            hit.result(WAIT)
        assert beside.result(WAIT).values == [1.0, 2.0]


def test_a_batch_that_is_out_of_memory_is_split_and_finished_and_later_ones_are_smaller() -> None:
    scorer = Scorer()

    def fail(batch: Sequence[Item]) -> None:
        if sum(item.tokens for item in batch) > 30:
            raise OutOfMemory

    scorer.fail = fail
    with running(scorer, batch_tokens=1000) as batcher:
        keys = [f"d{n}" for n in range(20)]
        done = batcher.submit(items(*keys), lane=names.INTERACTIVE, deadline=never()).result(WAIT)
        assert done.values == [float(n) for n in range(20)]
        assert batcher.batch_tokens < 200


def test_an_item_that_alone_is_out_of_memory_fails() -> None:
    scorer = Scorer()

    def fail(batch: Sequence[Item]) -> None:
        if any(item.key == "huge" for item in batch):
            raise OutOfMemory

    scorer.fail = fail
    with running(scorer) as batcher:
        huge = batcher.submit(items("huge"), lane=names.INTERACTIVE, deadline=never())
        with pytest.raises(OutOfMemory):
            huge.result(WAIT)
        assert batcher.submit(items("d1"), lane=names.INTERACTIVE, deadline=never()).result(WAIT).values == [1.0]


def test_work_past_its_deadline_is_still_scored_after_everything_else() -> None:
    scorer = Scorer()
    with busy(scorer) as batcher:
        late = batcher.submit(items("late1"), lane=names.INTERACTIVE, deadline=time.monotonic())
        batch = batcher.submit(items("b1"), lane=names.BATCH, deadline=never())
        scorer.gate.set()
        assert late.result(WAIT).values == [1.0]
        batch.result(WAIT)
    assert scorer.batches[1:] == [["b1"], ["late1"]]


def test_late_work_is_dropped_when_the_low_lane_is_full() -> None:
    scorer = Scorer()
    with busy(scorer, low_tokens=15) as batcher:
        kept = batcher.submit(items("late1"), lane=names.INTERACTIVE, deadline=time.monotonic())
        dropped = batcher.submit(items("late2"), lane=names.INTERACTIVE, deadline=time.monotonic())
        scorer.gate.set()
        with pytest.raises(Shed, match="low lane is full"):
            dropped.result(WAIT)
        assert kept.result(WAIT).values == [1.0]
    assert scorer.batches[1:] == [["late1"]]


def test_the_low_lane_counts_an_item_once_however_many_requests_wait_for_it() -> None:
    scorer = Scorer()
    with busy(scorer, low_tokens=15) as batcher:
        late = [batcher.submit(items("late1"), lane=names.INTERACTIVE, deadline=time.monotonic()) for _ in range(10)]
        scorer.gate.set()
        assert [future.result(WAIT).values for future in late] == [[1.0]] * 10


def test_too_much_waiting_work_is_refused_and_room_comes_back() -> None:
    scorer = Scorer()
    with busy(scorer, waiting_tokens=50) as batcher:
        waiting = batcher.submit(items("d1", "d2", "d3", "d4"), lane=names.INTERACTIVE, deadline=never())
        with pytest.raises(Shed):
            batcher.submit(items("d5", "d6"), lane=names.INTERACTIVE, deadline=never())
        batcher.submit(items("d1", "d2"), lane=names.INTERACTIVE, deadline=never())
        scorer.gate.set()
        waiting.result(WAIT)
        assert batcher.submit(items("d5", "d6"), lane=names.INTERACTIVE, deadline=never()).result(WAIT)


def test_batch_requests_beyond_their_number_are_refused_so_that_slots_stay_free() -> None:
    scorer = Scorer()
    with busy(scorer, batch_works=2) as batcher:
        for n in range(2):
            batcher.submit(items(f"b{n}"), lane=names.BATCH, deadline=never())
        with pytest.raises(Shed, match="send fewer"):
            batcher.submit(items("b9"), lane=names.BATCH, deadline=never())
        batcher.submit(items("i1"), lane=names.INTERACTIVE, deadline=never())


def test_what_waited_is_looked_up_in_the_cache_before_it_runs() -> None:
    scorer = Scorer()
    asked: list[Hashable] = []

    def recheck(keys: Sequence[Hashable]) -> Mapping[Hashable, float]:
        asked.extend(keys)
        return {"d1": 0.25}

    clock = [0.0]
    with busy(scorer, recheck=recheck, clock=lambda: clock[0]) as batcher:
        future = batcher.submit(items("d1", "d2"), lane=names.INTERACTIVE, deadline=1e9)
        clock[0] = 1.0
        scorer.gate.set()
        assert future.result(WAIT).values == [0.25, 2.0]
    assert asked == ["d1", "d2"]
    assert scorer.batches[1:] == [["d2"]]


def test_a_cache_that_cannot_be_asked_keeps_nothing_from_being_scored() -> None:
    scorer = Scorer()

    def recheck(keys: Sequence[Hashable]) -> Mapping[Hashable, float]:
        raise ConnectionError

    clock = [0.0]
    with busy(scorer, recheck=recheck, clock=lambda: clock[0]) as batcher:
        future = batcher.submit(items("d1"), lane=names.INTERACTIVE, deadline=1e9)
        clock[0] = 1.0
        scorer.gate.set()
        assert future.result(WAIT).values == [1.0]


def test_stopping_finishes_what_waits_and_gives_up_the_low_lane() -> None:
    scorer = Scorer()
    with busy(scorer) as batcher:
        late = batcher.submit(items("late1"), lane=names.INTERACTIVE, deadline=time.monotonic())
        waiting = batcher.submit(items("d1"), lane=names.INTERACTIVE, deadline=never())
        stopping = threading.Thread(target=batcher.stop)
        stopping.start()
        while not batcher.stopping:
            time.sleep(0.001)
        scorer.gate.set()
        stopping.join(WAIT)
        assert waiting.result(0).values == [1.0]
        with pytest.raises(Shed, match="shuts down"):
            late.result(0)
        with pytest.raises(Shed, match="shuts down"):
            batcher.submit(items("d2"), lane=names.INTERACTIVE, deadline=never())


def test_an_empty_request_is_answered_at_once() -> None:
    with busy(Scorer()) as batcher:
        assert batcher.submit([], lane=names.INTERACTIVE, deadline=never()).result(0).values == []


def test_load_counts_what_waits_and_is_empty_when_all_is_done() -> None:
    scorer = Scorer()
    with busy(scorer) as batcher:
        futures = [batcher.submit(items("d1", f"d{n}"), lane=names.BATCH, deadline=never()) for n in range(2, 5)]
        load = batcher.load()
        assert (load.waiting, load.waiting_tokens, load.in_flight) == (3, 40, 1)
        scorer.gate.set()
        for future in futures:
            future.result(WAIT)
        assert (batcher.load().waiting, batcher.load().waiting_tokens) == (0, 0)


def test_a_model_that_gives_too_few_results_fails_the_batch() -> None:
    batcher: Batcher[float] = Batcher(lambda items: [], batch_tokens=100)
    batcher.start()
    with pytest.raises(ModelFailed, match="0 results for 1"):
        batcher.submit(items("d1"), lane=names.INTERACTIVE, deadline=never()).result(WAIT)
    batcher.stop(WAIT)


def test_each_batch_is_reported_with_its_lane_fill_and_failure() -> None:
    seen: list[BatchStats] = []
    scorer = Scorer()
    nan = Item(key="nan", tokens=25, payload=ModelFailed("nan"))
    with running(scorer, observe=seen.append) as batcher:
        batcher.submit(items("d1", "d2"), lane=names.BATCH, deadline=never()).result(WAIT)
        with pytest.raises(ModelFailed):
            batcher.submit([nan], lane=names.INTERACTIVE, deadline=never()).result(WAIT)
    assert [(s.lane, s.items, s.tokens, s.fill, s.failed) for s in seen] == [
        ("batch", 2, 20, 0.2, None),
        ("interactive", 1, 25, 0.25, "ModelFailed"),
    ]
