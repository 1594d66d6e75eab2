"""The order that a window and a fusion make, the sweep over them, and latency's percentiles."""

import pytest

from connector.evaluate import candidates, latency, sweep
from connector.evaluate.candidates import PLAIN, Candidates
from connector.evaluate.latency import Timing
from connector.evaluate.sweep import Point, Setting, Sweep
from connector.settings import Fusion

IDS = tuple("abcdefghijkl")
#: The first stage likes a, the cross-encoder l.
RISING = Candidates(
    query_id="q",
    query="?",
    ids=IDS,
    found=tuple(float(12 - place) for place in range(12)),
    scores=tuple(float(place) for place in range(12)),
)


def test_only_the_window_is_reranked() -> None:
    assert "".join(RISING.order(3, PLAIN)) == "cbadefghijkl"
    assert "".join(RISING.order(12, PLAIN)) == "lkjihgfedcba"
    assert "".join(RISING.order(50, PLAIN)) == "lkjihgfedcba"


def test_a_document_without_text_keeps_its_place() -> None:
    item = Candidates(query_id="q", query="?", ids=("a", "b", "c"), found=(3.0, 2.0, 1.0), scores=(0.1, None, 0.9))
    assert item.order(3, PLAIN) == ["c", "b", "a"]


def test_pins_stay_on_top() -> None:
    assert "".join(RISING.order(3, PLAIN, pins=1)) == "acbdefghijkl"


def test_the_first_stage_alone_is_its_own_order() -> None:
    assert candidates.first_stage([RISING]) == {"q": list(IDS)}


def test_the_sweep_names_the_best_window_and_fusion() -> None:
    # With c relevant a window of three puts it first; a deeper one puts others before it.
    swept = sweep.sweep([RISING], {"q": {"c": 1}}, sweep.grid(12, [3], PLAIN))
    assert swept.best.setting == Setting(window=3, fusion=PLAIN)
    assert (swept.best.mean, swept.best.setting.label) == (1.0, "window 3, plain")
    assert {point.setting.window for point in swept.points} == {3, 12}


def test_every_point_of_the_sweep_is_what_the_whole_run_would_give() -> None:
    from connector.evaluate import measures

    grades = {"q": {"c": 2, "k": 1}}
    swept = sweep.sweep([RISING], grades, sweep.grid(12, [2, 5], Fusion(method="minmax", weight=0.3)))
    judge = measures.Judge(grades)
    for point in swept.points:
        run = candidates.reranked([RISING], point.setting.window, point.setting.fusion)
        assert point.mean == judge.measure(run).means["ndcg@10"], point.setting.label


def test_the_held_out_figure_is_measured_where_the_setting_was_not_chosen() -> None:
    def point(window: int, **values: float) -> Point:
        return Point(setting=Setting(window=window, fusion=PLAIN), by_query=values)

    # Folds {a, c} and {b, d}: window 1 is chosen on the first and fails on the second, and the other way round.
    swept = Sweep(points=(point(1, a=1.0, b=0.0, c=1.0, d=0.0), point(2, a=0.1, b=0.9, c=0.1, d=0.9)))
    assert swept.best.setting.window == 1
    assert swept.held_out == pytest.approx((0.0 + 0.0 + 0.1 + 0.1) / 4)


def test_among_equals_the_smaller_window_and_the_plainer_fusion_win() -> None:
    swept = sweep.sweep([RISING], {"q": {"zz": 1}}, sweep.grid(12, [3], Fusion(method="rrf")))
    assert swept.best.setting == Setting(window=3, fusion=PLAIN)


def test_queries_that_run_alone_are_timed_at_the_window_asked_for_and_elsewhere_by_turns() -> None:
    assert latency.plan(6, 100, [10, 20, 100]) == [100, 10, 100, 20, 100, 10]
    assert latency.plan(3, 100, [100]) == [100, 100, 100]
    assert len(latency.plan(10_000, 100, [100])) == 60


def timing(window: int, ms: float, cached: int = 0) -> Timing:
    return Timing(window=window, first_stage_s=0.001, scoring_s=(ms - 1) / 1000, cached=cached)


def test_percentiles_are_those_of_searches_without_a_stored_score() -> None:
    timings = [*(timing(100, ms) for ms in range(1, 102)), timing(100, 5000, cached=1), timing(10, 7)]
    found = latency.summary(timings, 100).summary()
    assert (found["p50"], found["p99"], found["queries"], found["cold"]) == (51.0, 100.0, 101, True)
    assert found["by_window"]["10"] == {"p50": 7.0, "p99": 7.0, "queries": 1}


def test_where_every_score_was_stored_that_is_said() -> None:
    found = latency.summary([timing(100, 4, cached=100)], 100).summary()
    assert (found["p50"], found["cold"]) == (4.0, False)
