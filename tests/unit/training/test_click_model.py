"""The click model: what it recovers from logs whose truth is known."""

import random

import pytest

from workers.training import click_model
from workers.training.click_model import View

TRUE_EXAMINATION = {1: 1.0, 2: 0.6, 3: 0.4, 4: 0.25}


def simulated(pairs: int = 400, pages: int = 60, seed: int = 3) -> tuple[list[View], dict[tuple[str, str], float]]:
    """Views of documents with known relevance at shuffled positions, clicked by the model's own assumption."""
    draw = random.Random(seed)
    views, truth = [], {}
    for query in range(pairs // 4):
        names = [(f"q{query}", f"d{number}") for number in range(4)]
        truth.update({name: draw.choice((0.05, 0.3, 0.7)) for name in names})
        for _ in range(pages):
            draw.shuffle(names)
            for position, name in enumerate(names, start=1):
                clicked = draw.random() < TRUE_EXAMINATION[position] * truth[name]
                views.append(View(pair=name, position=position, clicked=clicked, worth=float(clicked)))
    return views, truth


def test_em_recovers_how_often_each_position_is_examined() -> None:
    views, _ = simulated()
    found = click_model.estimate(views)
    assert found.method == "em"
    assert found.propensities == pytest.approx(TRUE_EXAMINATION, abs=0.04)


def test_debiased_labels_come_close_to_the_relevance_that_position_hid() -> None:
    views, truth = simulated()
    labels = {label.pair: label.value for label in click_model.labels(views, click_model.estimate(views).propensities)}
    errors = [abs(labels[pair] - value) for pair, value in truth.items()]
    assert sum(errors) / len(errors) < 0.08


def test_a_lower_click_counts_more_than_the_same_click_at_the_top() -> None:
    views = [
        View(pair=("q", "top"), position=1, clicked=True, worth=1.0),
        View(pair=("q", "low"), position=5, clicked=True, worth=1.0),
    ]
    top, low = click_model.labels(views, click_model.estimate(views).propensities)
    assert top.value == pytest.approx(0.5)
    assert low.value > top.value


def test_a_log_that_never_moves_a_document_falls_back_to_the_fixed_curve() -> None:
    views = [View(pair=(f"q{n}", "d"), position=1 + n % 5, clicked=n % 3 == 0, worth=1.0) for n in range(500)]
    found = click_model.estimate(views)
    assert (found.method, found.eta) == ("eta", 1.0)
    assert found.propensities[4] == pytest.approx(0.25)


def test_a_given_eta_is_used_as_it_is() -> None:
    views, _ = simulated(pairs=40, pages=2)
    assert click_model.estimate(views, 0.5).propensities[4] == pytest.approx(0.5)
