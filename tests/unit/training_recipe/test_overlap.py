"""The evaluation sets stay out of the training pairs."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from workers.training.recipe import overlap
from workers.training.recipe.pool import Pair

pytestmark = pytest.mark.torch

WORDS = [f"word{n}" for n in range(60)]


@pytest.fixture
def evaluated(tmp_path: Path) -> overlap.Evaluated:
    folder = tmp_path / "some-set"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text(json.dumps({"_id": "d", "title": "A title", "text": " ".join(WORDS)}) + "\n")
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "Which word, is first?"}) + "\n")
    return overlap.read_evaluated(tmp_path)


def pair(text: str, query: str = "something else") -> Pair:
    return Pair(query=query, title="", text=text, source="a")


def test_ten_words_in_a_row_are_three_shared_runs_and_leave_the_pair_out(evaluated: overlap.Evaluated) -> None:
    found = overlap.overlaps([pair("before " + " ".join(WORDS[5:15]) + " after")], evaluated)
    assert (found.sharing_any, found.excluded) == (1, (0,))


def test_a_common_phrase_of_eight_words_is_counted_and_kept(evaluated: overlap.Evaluated) -> None:
    found = overlap.overlaps([pair("before " + " ".join(WORDS[5:13]) + " after")], evaluated)
    assert (found.sharing_any, found.excluded) == (1, ())


def test_the_same_run_twice_counts_once(evaluated: overlap.Evaluated) -> None:
    run = " ".join(WORDS[5:13])
    found = overlap.overlaps([pair(f"{run} x {run} y {run}")], evaluated)
    assert (found.sharing_any, found.excluded) == (1, ())


def test_words_that_end_one_pair_and_begin_the_next_are_no_run(evaluated: overlap.Evaluated) -> None:
    found = overlap.overlaps([pair(" ".join(WORDS[:7])), pair(" ".join(WORDS[7:14]))], evaluated)
    assert (found.pairs, found.sharing_any) == (2, 0)


def test_an_evaluation_query_is_found_whatever_its_case_and_punctuation(evaluated: overlap.Evaluated) -> None:
    found = overlap.overlaps([pair("nothing shared"), pair("nothing", "which word is FIRST")], evaluated)
    assert found.excluded == (1,)
