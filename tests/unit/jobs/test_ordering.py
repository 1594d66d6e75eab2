"""Answers: the new order, and how it is written."""

import json

from connector.jobs import ordering
from connector.jobs.items import Document

DOCUMENTS = tuple(Document(id=f"d{n}", text=f"text {n}", score=float(9 - n)) for n in range(5))


def test_documents_without_a_score_keep_their_slot_and_those_beyond_the_window_stay_below() -> None:
    answer = ordering.order("q", "?", DOCUMENTS, [1.0, None, 3.0], "none")
    assert [placed.document.id for placed in answer.placed] == ["d2", "d1", "d0", "d3", "d4"]
    assert [placed.score for placed in answer.placed] == [3.0, None, 1.0, None, None]


def test_json_lines_hold_both_ranks_and_texts_when_asked_for() -> None:
    answer = ordering.order("q", "?", DOCUMENTS[:2], [1.0, 2.5], "none")
    line = json.loads(ordering.json_line(answer, texts=True))
    assert line["results"][0] == {"id": "d1", "score": 2.5, "first_rank": 2, "first_score": 8.0, "text": "text 1"}
    assert "text" not in json.loads(ordering.json_line(answer, texts=False))["results"][0]


def test_scores_of_a_run_fall_from_line_to_line_also_where_the_model_gave_ties_or_nothing() -> None:
    answer = ordering.order("q", "?", DOCUMENTS, [2.0, 2.0, 2.0], "none")
    lines = [line.split() for line in ordering.trec_lines(answer, "tag").decode().splitlines()]
    scores = [float(line[4]) for line in lines]
    assert scores == sorted(set(scores), reverse=True)
    assert [line[2] for line in lines] == ["d0", "d1", "d2", "d3", "d4"]


def test_an_answer_without_any_score_is_still_written_in_order() -> None:
    lines = ordering.trec_lines(ordering.order("q", "?", DOCUMENTS, [None] * 5, "none"), "t").decode().splitlines()
    scores = [float(line.split()[4]) for line in lines]
    assert scores == sorted(set(scores), reverse=True)


def test_first_stage_scores_are_blended_in_where_there_are_any() -> None:
    scores = [1.0, 1.1, 0.9, 1.0, 1.05]
    assert ordering.order("q", "?", DOCUMENTS, scores, "none").placed[0].document.id == "d1"
    assert ordering.order("q", "?", DOCUMENTS, [1.0, 1.01, 0.0], "minmax").placed[0].document.id == "d0"
    bare = tuple(Document(id=document.id, text=document.text) for document in DOCUMENTS)
    alone, blended = (ordering.order("q", "?", bare, scores, method) for method in ("none", "minmax"))
    assert alone == blended
