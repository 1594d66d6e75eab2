"""The grammar of passage policies."""

import pytest

from connector.contract import passages
from connector.contract.errors import ConfigurationError


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("truncate", "truncate"),
        ("max_passage", "max_passage"),
        ("max_passage-w160-s120-n8", "max_passage"),
        ("max_passage-w64", "max_passage-w64-s64"),
        ("mean_top3-n16", "mean_top3-n16"),
        ("mean_top1", "max_passage"),
        ("fragments-n4", "fragments-n4"),
    ],
)
def test_a_policy_has_one_spelling(written: str, canonical: str) -> None:
    assert passages.canonical(written) == canonical
    assert passages.canonical(canonical) == canonical


@pytest.mark.parametrize(
    "policy",
    ["", "max", "max_passage-x3", "max_passage-s10-w20", "mean_top0", "max_passage-w4", "max_passage-w20-s21",
     "max_passage-n0", "max_passage-s0", "truncate-w5", "max_passage:w5", "max_passage\n"],
)  # fmt: skip
def test_what_does_not_follow_the_grammar_is_refused(policy: str) -> None:
    with pytest.raises(ConfigurationError, match="passages"):
        passages.parse(policy)


def test_a_policy_fits_into_a_cache_key() -> None:
    assert passages.SEPARATOR not in passages.canonical("mean_top3-w64-s32-n5")
    assert ":" not in passages.canonical("mean_top3-w64-s32-n5")
