"""Scores kept in the process: bounded, and as they were first stored."""

from connector.scoring.local import LocalScores


def test_what_is_stored_first_stays() -> None:
    kept = LocalScores(10)
    kept.put("q", {b"a": 1.0})
    kept.put("q", {b"a": 2.0, b"b": 3.0})
    assert kept.get("q", [b"a", b"b", b"c"]) == [1.0, 3.0, None]


def test_the_query_that_was_used_longest_ago_goes_first() -> None:
    kept = LocalScores(4)
    for name in ("old", "used"):
        kept.put(name, {b"a": 1.0, b"b": 1.0})
    kept.get("old", [b"a"])
    kept.put("new", {b"a": 1.0})
    assert [kept.get(name, [b"a"]) for name in ("old", "used", "new")] == [[1.0], [None], [1.0]]
    assert len(kept) == 3


def test_one_query_larger_than_the_whole_is_not_kept() -> None:
    kept = LocalScores(2)
    kept.put("q", dict.fromkeys((b"a", b"b", b"c"), 1.0))
    assert len(kept) == 0


def test_queries_without_scores_leave_nothing_behind() -> None:
    kept = LocalScores(2)
    kept.put("kept", {b"a": 1.0})
    for n in range(100):
        kept.put(f"empty {n}", {})
    assert kept._queries.keys() == {"kept"}
