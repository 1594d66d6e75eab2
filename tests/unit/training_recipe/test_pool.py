"""The pool of passages and queries."""

from collections import Counter

import pytest

pytest.importorskip("torch")

from workers.training.recipe import pool

pytestmark = pytest.mark.torch

BODY = (
    "The valve opens when pressure rises. A spring then holds it in place for a while. "
    "Heat changes the spring over time. Engineers replace it every second year."
)


def pairs(count: int, source: str = "a") -> list[pool.Pair]:
    return [pool.Pair(query=f"How valve {n} works", title="Valves", text=BODY, source=source) for n in range(count)]


def test_the_same_seed_makes_the_same_pool_and_another_seed_another() -> None:
    first = pool.build(pairs(60), passages=40, queries=30, seed=1)
    assert first == pool.build(pairs(60), passages=40, queries=30, seed=1)
    assert first != pool.build(pairs(60), passages=40, queries=30, seed=2)


def test_small_sources_are_drawn_more_often_than_their_share() -> None:
    many, few = pairs(900, "many"), [pool.Pair(query="A rare one", title="", text="rare " * 30, source="few")] * 100
    drawn = Counter("rare" in text for text in pool.build(many + few, passages=200, queries=0, seed=3).passages)
    # By square roots 30 : 10 a pair of the small source weighs three times as much, so about a quarter is expected.
    assert 0.15 < drawn[True] / 200 < 0.35


def test_excluded_pairs_are_left_out_and_change_nothing_else() -> None:
    everything = [pool.Pair(query=f"Query number {n}", title="", text=f"{BODY} n{n}", source="a") for n in range(30)]
    whole = pool.build(everything, passages=30, queries=30, seed=4)
    cleaned = pool.build(everything, excluded={2, 7}, passages=30, queries=30, seed=4)
    assert len(cleaned.passages) == 28
    assert set(cleaned.passages) <= set(whole.passages)


def test_a_sentence_that_is_asked_mostly_leaves_its_passage() -> None:
    made = pool.build(pairs(400), passages=400, queries=400, seed=5)
    asked = [(q, made.passages[label]) for q, label in zip(made.queries, made.labels, strict=True) if q in BODY]
    assert len(asked) > 50
    assert sum(query in passage for query, passage in asked) < 0.5 * len(asked)


def test_labels_name_the_passage_a_query_was_made_with() -> None:
    many = [
        pool.Pair(query=f"Heading {n} here", title="", text=f"Unique{n} word here. " * 12, source="a")
        for n in range(20)
    ]
    made = pool.build(many, passages=20, queries=20, seed=6)
    for query, label in zip(made.queries, made.labels, strict=True):
        number = "".join(filter(str.isdigit, query.split(".")[0].split(" here")[0]))[:2]
        assert f"Unique{number} " in made.passages[label] or f"unique{number} " in made.passages[label].lower()
