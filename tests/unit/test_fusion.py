"""The window's new order, and RRF."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector import fusion
from connector.settings import Fusion

FINITE = st.floats(min_value=-30, max_value=30, allow_nan=False)
METHODS = ("none", "rrf", "minmax", "zscore")


def positions(
    first_stage: list[float | None], scores: list[float | None], method: str = "none", **options: float
) -> list[int]:
    pins = int(options.pop("pins", 0))
    ranked = fusion.rank(first_stage, scores, Fusion(method=method, **options), pins=pins)  # type: ignore[arg-type]
    return [hit.position for hit in ranked]


def test_without_fusion_the_cross_encoder_alone_decides() -> None:
    assert positions([9, 8, 7], [-2.0, 3.0, 1.0]) == [1, 2, 0]


def test_ties_keep_the_first_stages_order() -> None:
    assert positions([9, 8, 7, 6], [1.0, 2.0, 1.0, 2.0]) == [1, 3, 0, 2]


def test_scores_too_large_for_a_sigmoid_to_tell_apart_are_still_sorted() -> None:
    assert positions([9, 8], [800.0, 900.0]) == [1, 0]


def test_a_hit_without_a_score_keeps_its_slot_and_shows_the_value_above() -> None:
    ranked = fusion.rank([9, 8, 7], [1.0, None, 2.0], Fusion(method="none"))
    assert [hit.position for hit in ranked] == [2, 1, 0]
    assert ranked[1].value == ranked[0].value == fusion.sigmoid(2.0)


def test_pinned_hits_stay_in_front_whatever_their_score() -> None:
    assert positions([9, 8, 7, 6], [-5.0, 0.0, 1.0, 2.0], pins=2) == [0, 1, 3, 2]


@pytest.mark.parametrize(("weight", "order"), [(0.0, [0, 1, 2]), (1.0, [2, 1, 0])])
@pytest.mark.parametrize("method", ["rrf", "minmax", "zscore"])
def test_the_weight_moves_from_the_engines_order_to_the_cross_encoders(
    method: str, weight: float, order: list[int]
) -> None:
    assert positions([3.0, 2.0, 1.0], [1.0, 2.0, 3.0], method, weight=weight) == order


def test_minmax_adds_scaled_scores() -> None:
    ranked = fusion.rank([10.0, 5.0, 0.0], [0.0, 4.0, 1.0], Fusion(method="minmax", weight=0.5))
    assert [(hit.position, hit.value) for hit in ranked] == [(1, 0.75), (0, 0.5), (2, 0.125)]


def test_where_the_engine_gave_no_scores_its_ranks_are_fused() -> None:
    assert positions([None, None, None], [0.0, 0.1, 5.0], "minmax", weight=0.6) == [2, 0, 1]


def test_rrf_sums_reciprocal_ranks() -> None:
    fused = dict(fusion.rrf([["a", "b"], ["b", "c"]], k=60))
    assert fused == {"b": 1 / 62 + 1 / 61, "a": 1 / 61, "c": 1 / 62}
    assert next(iter(fused)) == "b"


@given(
    hits=st.lists(st.tuples(st.one_of(st.none(), FINITE), st.one_of(st.none(), FINITE)), max_size=40),
    method=st.sampled_from(METHODS),
    pins=st.integers(0, 5),
)
def test_any_scores_give_a_permutation_with_values_that_never_rise(
    hits: list[tuple[float | None, float | None]], method: str, pins: int
) -> None:
    ranked = fusion.rank([a for a, _ in hits], [b for _, b in hits], Fusion(method=method), pins=pins)  # type: ignore[arg-type]
    assert sorted(hit.position for hit in ranked) == list(range(len(hits)))
    values = [hit.value for hit in ranked]
    assert all(math.isfinite(value) and value >= 0 for value in values)
    assert values == sorted(values, reverse=True)
