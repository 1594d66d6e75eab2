"""The bundled model on the CPU runtime: what a light install scores with."""

from __future__ import annotations

import random

import pytest

from workers import models
from workers.models.cross_encoder import CrossEncoder
from workers.settings import WorkerSettings

QUERY = "how do I parse a date from a string"
ANSWER = "To parse a date from a string, call datetime.strptime with the string and a format of its date."


@pytest.fixture(scope="module")
def model() -> CrossEncoder:
    loaded = models.load(WorkerSettings())
    assert isinstance(loaded, CrossEncoder)
    return loaded


def filler(words: int) -> str:
    """Text about something else."""
    draw = random.Random(3)
    sentences = [
        "The river rises in the mountains and flows through three valleys to the sea.",
        "Bakers in the old town heat their ovens with beech wood from the hills.",
        "In spring the meadows are mown twice, and the hay is dried on wooden racks.",
    ]
    text: list[str] = []
    while len(text) < words:
        text += draw.choice(sentences).split()
    return " ".join(text[:words])


def test_the_light_install_s_model_joins_pairs_and_runs_on_the_cpu_runtime(model: CrossEncoder) -> None:
    assert (model.backend, model.device, model.precision) == ("onnx", "cpu", "int8")
    assert model.tokenizer.joins


def test_an_answer_scores_above_what_is_about_something_else(model: CrossEncoder) -> None:
    answer, other = model.predict(QUERY, [ANSWER, filler(20)])
    assert answer > other


def test_max_passage_finds_an_answer_at_the_end_of_3000_words_and_truncate_does_not(model: CrossEncoder) -> None:
    long, plain = f"{filler(3000)} {ANSWER}", filler(3020)
    truncated = model.predict(QUERY, [long, plain])
    assert truncated[0] == pytest.approx(truncated[1], abs=0.05)
    best = model.predict(QUERY, [long, plain], "max_passage")
    assert best[0] > best[1] + 1.0
    assert best[0] > truncated[0] + 1.0


def test_a_score_does_not_depend_on_the_pairs_beside_it(model: CrossEncoder) -> None:
    texts = [ANSWER, filler(10), filler(150), filler(60), ANSWER * 3]
    together = model.predict(QUERY, texts)
    alone = [model.predict(QUERY, [text])[0] for text in texts]
    assert together == pytest.approx(alone, abs=0.02)
