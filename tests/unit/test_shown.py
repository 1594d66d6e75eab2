"""The scores that a page shows: descending, finite, non-negative, and the same float32 whoever reads them."""

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector import fusion, shown
from connector.fusion import Ranked
from connector.settings import Fusion


def ranked(*values: float | None) -> list[Ranked]:
    """A ranking that shows `values`; None: a hit without a score."""
    return [Ranked(position=i, score=value, value=value or 0.0) for i, value in enumerate(values)]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_reads_back_as_itself(value: float) -> None:
    text = shown.float32(value)
    assert struct.pack("<f", json.loads(text)) == struct.pack("<f", value)
    assert b"." in text or b"e" in text


@pytest.mark.parametrize(
    ("value", "text"), [(0.1, b"0.1"), (1, b"1.0"), (1 / 3, b"0.33333334"), (1e-7, b"1e-07"), (1e300, b"3.4028235e+38")]
)
def test_a_float32_is_written_in_its_shortest_form(value: float, text: bytes) -> None:
    assert shown.float32(value) == text


def test_under_engine_each_slot_shows_the_engines_score_of_that_slot() -> None:
    ranking = [Ranked(position=1, score=5.0, value=0.9), Ranked(position=0, score=1.0, value=0.7)]
    assert shown.scores([b"3.50", b"2.0", b"1.0"], ranking, "engine", range(3)) == [b"3.50", b"2.0", b"1.0"]


def test_under_rerank_the_hits_behind_the_window_are_scaled_below_it() -> None:
    assert shown.scores([b"8", b"4", b"2", b"1"], ranked(0.9, 0.5), "rerank", range(4)) == [
        b"0.9",
        b"0.5",
        b"0.25",
        b"0.125",
    ]


def test_an_unscored_hit_shows_the_score_of_the_hit_above_it() -> None:
    assert shown.scores([b"1"] * 4, ranked(0.9, None, 0.5, None), "rerank", range(4)) == [
        b"0.9",
        b"0.9",
        b"0.5",
        b"0.5",
    ]


def test_an_unscored_hit_at_the_top_shows_the_best_score() -> None:
    assert shown.scores([b"1"] * 2, ranked(None, 0.5), "rerank", range(2)) == [b"0.5", b"0.5"]


def test_a_pinned_hit_shows_no_less_than_the_hits_below_it() -> None:
    ranking = fusion.rank([3.0, 2.0, 1.0], [-9.0, 1.0, 3.0], Fusion(method="none"), pins=1)
    values = [float(text or 0) for text in shown.scores([b"1"] * 3, ranking, "rerank", range(3))]
    assert [r.position for r in ranking] == [0, 2, 1]
    assert values[0] == values[1] > values[2]


@given(
    st.lists(st.none() | st.floats(-50, 50), max_size=30),
    st.lists(st.floats(0, 100, width=32), max_size=40),
    st.sampled_from(["none", "rrf", "minmax", "zscore"]),
    st.integers(0, 5),
)
def test_whatever_the_scores_what_is_shown_never_rises(
    scores: list[float | None], first_stage: list[float], method: str, pins: int
) -> None:
    engine = sorted(first_stage, reverse=True)
    scores = (scores + [None] * len(engine))[: len(engine) // 2 + 1 if engine else 0]
    ranking = fusion.rank(engine[: len(scores)], scores, Fusion(method=method), pins=pins)  # type: ignore[arg-type]
    text = shown.scores([json.dumps(score).encode() for score in engine], ranking, "rerank", range(len(engine)))
    values = [float(score or b"nan") for score in text]
    assert all(math.isfinite(value) and value >= 0 for value in values)
    assert values == sorted(values, reverse=True)
