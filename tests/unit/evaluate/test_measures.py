"""Metrics against values computed by hand, and the comparison of two runs."""

import math

import pytest

from connector.evaluate import measures, significance

GRADES = {"q1": {"a": 2, "b": 1, "c": 0, "e": 1}, "q2": {"z": 1}}


def measured(run: dict[str, list[str]]) -> dict[str, dict[str, float]]:
    return {name: dict(values) for name, values in measures.Judge(GRADES).measure(run).by_query.items()}


def test_each_metric_is_what_its_definition_gives() -> None:
    found = measured({"q1": ["c", "a", "x", "b"], "q2": ["y", "x", "z"]})
    gain = 2 / math.log2(3) + 1 / math.log2(5)
    ideal = 2 + 1 / math.log2(3) + 1 / math.log2(4)
    assert found["ndcg@10"] == pytest.approx({"q1": gain / ideal, "q2": 1 / math.log2(4)})
    assert found["mrr@10"] == pytest.approx({"q1": 1 / 2, "q2": 1 / 3})
    assert found["map"] == pytest.approx({"q1": (1 / 2 + 2 / 4) / 3, "q2": 1 / 3})
    assert found["p@5"] == pytest.approx({"q1": 2 / 5, "q2": 1 / 5})
    assert found["recall@100"] == pytest.approx({"q1": 2 / 3, "q2": 1.0})


def test_the_cut_offs_hold() -> None:
    late = [f"n{place}" for place in range(10)] + ["z"]
    found = measured({"q1": ["a"], "q2": late})
    assert (found["ndcg@10"]["q2"], found["mrr@10"]["q2"], found["map"]["q2"]) == (0.0, 0.0, pytest.approx(1 / 11))
    found = measured({"q1": ["a"], "q2": [f"n{place}" for place in range(100)] + ["z"]})
    assert found["recall@100"]["q2"] == 0.0


def test_a_query_that_a_run_does_not_answer_counts_as_zero() -> None:
    result = measures.Judge(GRADES).measure({"q1": ["a", "b", "e"]})
    assert result.by_query["ndcg@10"] == {"q1": pytest.approx(1.0), "q2": 0.0}
    assert result.means["ndcg@10"] == pytest.approx(0.5)


def test_the_order_of_the_run_counts_and_not_that_of_the_ids() -> None:
    for run in (["z", "y"], ["y", "z"]):
        assert measured({"q1": [], "q2": run})["mrr@10"]["q2"] == 1 / (run.index("z") + 1)


def test_a_difference_that_is_the_same_everywhere_needs_no_test() -> None:
    before = {"a": 0.25, "b": 0.5}
    assert significance.compare(before, before).p == 1.0
    better = significance.compare(before, {"a": 0.5, "b": 0.75})
    assert (better.difference, better.low, better.high, better.p, better.wins) == (0.25, 0.25, 0.25, 0.0, 2)
    assert not significance.compare({"a": 0.0}, {"a": 1.0}).significant


def test_the_interval_and_p_are_those_of_the_paired_t_test() -> None:
    # Differences 1, 2, 3, 4: mean 2.5, standard error 1.29099 / 2, t 3.87298 with three degrees of freedom.
    before, after = dict.fromkeys("abcd", 0.0), {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    found = significance.compare(before, after)
    assert found.p == pytest.approx(0.030466, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((2.5 - 3.182446 * 0.645497, 2.5 + 3.182446 * 0.645497), abs=1e-5)
    assert found.significant
    assert (found.wins, found.losses, found.ties) == (4, 0, 0)


def test_wins_losses_and_ties_are_counted() -> None:
    found = significance.compare(dict.fromkeys("abc", 0.5), {"a": 0.4, "b": 0.5, "c": 0.9})
    assert (found.wins, found.losses, found.ties, found.queries) == (1, 1, 1, 3)
    assert found.low < 0 < found.high
    assert not found.significant
