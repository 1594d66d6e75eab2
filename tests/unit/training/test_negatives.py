"""Negatives and lists: what is mined, what is kept out, and what the losses make of it."""

import math
from collections.abc import Sequence

import pytest

from connector.contract.errors import InputError
from workers.training import examples, negatives, split
from workers.training.collection import Collection, JudgedQuery, TrainingList
from workers.training.retrieval import Candidate

pytest.importorskip("torch")
from workers.training import lexical, teacher

pytestmark = pytest.mark.torch

PASSAGES = {
    "good": "bread is baked in a hot oven for one hour",
    "copy": "Bread is baked in a hot oven, for one hour.",
    "bad": "rain falls on the roof",
    "near": "cakes are baked too",
    "far": "the oven of a star",
    "unseen": "an oven shown too low",
}


class Listed:
    """A first stage that finds the same documents for every query, in a given order."""

    def __init__(self, *names: str) -> None:
        self._found = [Candidate(id=name, text=PASSAGES[name]) for name in names]

    def top(self, queries: Sequence[str], depth: int) -> list[list[Candidate]]:
        return [self._found[:depth] for _ in queries]


def collection(**known: object) -> Collection:
    query = JudgedQuery(query="how to bake bread", grades={"good": 1.0, "bad": 0.0}, **known)  # type: ignore[arg-type]
    return Collection(name="set", passages=PASSAGES, queries=(query,), digests={})


def mined(source: Collection, *retrievers: Listed, **settings: int) -> TrainingList:
    (entry,) = negatives.lists(source, source.queries, retrievers, negatives.Settings(**settings), seed=0)
    return entry


def test_known_negatives_come_first_and_neither_positives_nor_their_copies_are_mined() -> None:
    entry = mined(collection(), Listed("copy", "good", "near", "bad", "far"))
    assert entry.passages == tuple(PASSAGES[name] for name in ("good", "bad", "near", "far"))
    assert entry.grades == (1.0, 0.0, 0.0, 0.0)
    assert entry.mined == 2


def test_what_nobody_may_have_seen_is_never_a_negative() -> None:
    entry = mined(collection(undecided=frozenset({"unseen"})), Listed("unseen", "near"))
    assert PASSAGES["unseen"] not in entry.passages


def test_candidates_of_several_retrievers_alternate_and_count_once() -> None:
    entry = mined(collection(), Listed("near", "far"), Listed("far", "near"), negatives=3)
    assert entry.passages[2:] == (PASSAGES["near"], PASSAGES["far"])


def test_the_best_candidates_can_be_passed_over() -> None:
    assert PASSAGES["near"] not in mined(collection(), Listed("near", "far"), skip=1).passages


def test_a_query_with_many_positives_gives_several_lists() -> None:
    names = {f"d{number}": f"passage {number}" for number in range(5)}
    query = JudgedQuery(query="q", grades=dict.fromkeys(names, 1.0))
    source = Collection(name="set", passages=names, queries=(query,), digests={})
    found = list(negatives.lists(source, source.queries, [Listed("near")], negatives.Settings(positives=2), seed=0))
    assert sorted(text for entry in found for text in entry.passages if text in names.values()) == list(names.values())
    assert all(PASSAGES["near"] in entry.passages for entry in found)


def test_a_mined_negative_that_the_teacher_likes_is_dropped_and_a_judged_one_stays() -> None:
    entry = TrainingList(
        query="q",
        passages=("positive", "judged", "false", "true"),
        grades=(1.0, 0.0, 0.0, 0.0),
        scores=(2.0, 5.0, 1.8, -1.0),
        mined=2,
    )
    (cleaned,) = teacher.without_false_negatives([entry], margin=0.5)
    assert cleaned.passages == ("positive", "judged", "true")
    assert (cleaned.scores, cleaned.mined) == ((2.0, 5.0, -1.0), 1)


def test_held_out_queries_are_drawn_by_seed_and_never_trained_on() -> None:
    queries = tuple(JudgedQuery(query=f"q{number}", grades={"good": 1.0}) for number in range(40))
    one = Collection(name="one", passages=PASSAGES, queries=queries, digests={})
    other = Collection(name="other", passages=PASSAGES, queries=queries[:10], digests={})
    first, again = (split.split([one, other], share=0.25, most=100, seed=7) for _ in range(2))
    assert first == again
    held = {query.query for part in first.held_out for query in part}
    assert len(held) == 10
    assert not held & {query.query for part in first.train for query in part}
    assert first != split.split([one, other], share=0.25, most=100, seed=8)


def test_too_few_queries_to_hold_any_out_is_an_error() -> None:
    with pytest.raises(InputError, match="too few to hold out"):
        split.split([collection()], share=0.1, most=100, seed=0)


GRADED = TrainingList(
    query="q",
    passages=("best passage", "fair", "none"),
    grades=(3.0, 1.0, 0.0),
    top_grade=3.0,
    scores=(4.0, None, -2.0),
)


def test_bce_rows_carry_the_share_of_the_top_grade() -> None:
    assert [row["label"] for row in examples.rows([GRADED], "bce")] == [1.0, pytest.approx(1 / 3), 0.0]


def test_the_softmax_of_listwise_labels_is_the_grades_share_of_their_sum() -> None:
    (row,) = examples.rows([GRADED], "listwise")
    weights = [math.exp(label) for label in row["label"]]  # type: ignore[union-attr]
    shares = dict(zip(row["passages"], (weight / sum(weights) for weight in weights), strict=True))  # type: ignore[arg-type]
    assert shares == pytest.approx({"best passage": 0.75, "fair": 0.25, "none": 0.0})


def test_lambda_rows_carry_the_grades_as_they_are() -> None:
    (row,) = examples.rows([GRADED], "lambda")
    assert dict(zip(row["passages"], row["label"], strict=True)) == {"best passage": 3.0, "fair": 1.0, "none": 0.0}  # type: ignore[arg-type]


def test_distillation_rows_carry_raw_scores_of_scored_passages_only() -> None:
    assert [row["label"] for row in examples.rows([GRADED], "mse")] == [4.0, -2.0]
    (row,) = examples.rows([GRADED], "margin-mse")
    assert (row["better"], row["worse"], row["label"]) == ("best passage", "none", [4.0, -2.0])


def test_distillation_without_any_score_says_what_to_name() -> None:
    entry = TrainingList(query="q", passages=("a", "b"), grades=(1.0, 0.0), scores=(None, None))
    with pytest.raises(InputError, match="name a --teacher"):
        examples.rows([entry], "mse")


@pytest.mark.parametrize("text", ["the of and", "?"])
def test_a_corpus_without_words_has_no_candidates(text: str) -> None:
    assert lexical.Index({"only": text}).top(["bread", ""], 5) == [[], []]


def test_bm25_in_memory_finds_by_stem_and_leaves_out_what_shares_no_word() -> None:
    found = lexical.Index(PASSAGES).top(["baking cake", "moon"], 1)
    assert [[item.id for item in run] for run in found] == [["near"], []]
