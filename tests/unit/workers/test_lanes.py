"""Whatever comes, runs, expires or fails: every request ends, and the counts go back to nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.contract import names
from workers.lanes import Item, Lanes, Work

REQUESTS = st.tuples(
    st.just("add"),
    st.lists(st.integers(0, 12), min_size=1, max_size=6),
    st.sampled_from([names.INTERACTIVE, names.BATCH]),
    st.integers(0, 20),
)
RUNS = st.tuples(st.just("run"), st.booleans(), st.integers(1, 60))
STEPS = st.lists(st.one_of(REQUESTS, RUNS, st.tuples(st.just("expire"))), max_size=40)


def run(lanes: Lanes[int], budget: int, now: float, *, fails: bool) -> list[Work[int]]:
    _, entries = lanes.take(budget, now)
    ended: list[Work[int]] = []
    for entry in entries:
        ended += lanes.fail(entry) if fails else lanes.settle(entry, entry.item.payload)
    return ended


@settings(max_examples=300)
@given(STEPS)
def test_every_request_ends_exactly_once_and_nothing_is_left_over(steps: list[tuple[object, ...]]) -> None:
    lanes: Lanes[int] = Lanes(low_tokens=40)
    open_works: list[Work[int]] = []
    ended: list[Work[int]] = []
    for now, step in enumerate(steps):
        match step:
            case ("add", list(keys), lane, int(patience)):
                wanted = [Item(key=key, tokens=key + 1, payload=key * 10) for key in keys]
                open_works.append(lanes.add(wanted, lane=lane, deadline=now + patience, now=now))
            case ("run", bool(fails), int(budget)):
                ended += run(lanes, budget, now, fails=fails)
            case _:
                ended += lanes.expire(now)
        assert lanes.tokens == sum(e.item.tokens for e in lanes.pending.values() if not e.taken)
    for _ in range(200):
        if not lanes:
            break
        ended += run(lanes, 10, 1e9, fails=False)
    assert sorted(map(id, ended)) == sorted(map(id, open_works))
    assert (len(lanes), lanes.tokens, lanes.pending) == (0, 0, {})


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.integers(1, 100))
def test_results_stand_where_their_items_were_asked_for(keys: list[int], budget: int) -> None:
    lanes: Lanes[int] = Lanes(low_tokens=10)
    wanted = [Item(key=key, tokens=key + 1, payload=key * 10) for key in keys]
    work = lanes.add(wanted, lane=names.INTERACTIVE, deadline=1e9, now=0)
    while lanes:
        run(lanes, budget, 0, fails=False)
    assert [entry.value for entry in work.entries] == [key * 10 for key in keys]
