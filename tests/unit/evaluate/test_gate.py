"""The gate: what can be required, and when it holds."""

import pytest

from connector.contract.errors import ConfigurationError
from connector.evaluate import gate

MEANS = {
    "first_stage": {"ndcg@10": 0.50, "p@5": 0.30},
    "reranked": {"ndcg@10": 0.48, "p@5": 0.30},
    "default": {"ndcg@10": 0.55, "p@5": 0.30},
}


@pytest.mark.parametrize(
    ("requirement", "holds"),
    [
        ("ndcg@10>=baseline", True),
        ("ndcg@10>=baseline+0.05", True),
        ("ndcg@10 > baseline + 0.05", False),
        ("ndcg@10>=baseline+0.051", False),
        ("reranked.ndcg@10>=baseline", False),
        ("reranked.ndcg@10>=baseline-0.02", True),
        ("default.ndcg@10>=.55", True),
        ("NDCG@10>=0.56", False),
        ("p@5>=baseline", True),
        ("p@5>baseline", False),
        ("p@5>=0.3", True),
    ],
)
def test_a_requirement_holds_or_not(requirement: str, holds: bool) -> None:
    assert gate.parse(requirement).check(MEANS).passed is holds


def test_the_verdict_says_what_was_reached_and_what_was_needed() -> None:
    assert gate.parse("ndcg@10>=baseline+0.06").check(MEANS).line == "ndcg@10>=baseline+0.06: 0.5500, needed 0.5600"


@pytest.mark.parametrize(
    "text",
    ["", "ndcg@10", "ndcg@10>=", "ndcg@10=>0.5", "ndcg@10<=0.5", "ndcg@10>=best", "ndcg@5>=0.5", "first_stage.map>=0"],
)
def test_what_is_no_requirement_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--require"):
        gate.parse(text)
