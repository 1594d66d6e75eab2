"""On a GPU the scores are the reference's, whichever forward pass runs."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from workers import models
from workers.settings import WorkerSettings

torch = pytest.importorskip("torch", reason="torch is not installed")
pytestmark = [
    pytest.mark.torch,
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]

QUERY = "how do I parse a date from a string"
#: Differences allowed from the reference in fp32, by precision.
TOLERANCE = {"fp32": 1e-4, "bf16": 2e-2, "fp16": 2e-2}


@pytest.fixture(scope="module")
def documents() -> list[str]:
    """300 texts of mixed length made of a few subjects' words, so that scores differ."""
    draw = random.Random(5)
    words = ["parse", "date", "string", "format", "time", "zone", "list", "sort", "tree", "socket", "thread", "bytes"]
    return [" ".join(draw.choices(words, k=draw.randint(3, 180))) for _ in range(300)]


@pytest.fixture(scope="module")
def reference(documents: Sequence[str]) -> np.ndarray:
    """sentence-transformers' own raw scores in fp32."""
    import sentence_transformers

    from workers.models.folder import BUNDLED

    encoder = sentence_transformers.CrossEncoder(
        str(BUNDLED), device="cuda", max_length=256, model_kwargs={"dtype": "float32"}
    )
    pairs = [(QUERY, text) for text in documents]
    return np.asarray(encoder.predict(pairs, activation_fn=torch.nn.Identity()))


@pytest.mark.parametrize("precision", sorted(TOLERANCE))
def test_scores_are_the_reference_s_within_the_precision(
    documents: Sequence[str], reference: np.ndarray, precision: str
) -> None:
    model = models.load(WorkerSettings(backend="torch", device="cuda:0", precision=precision))  # type: ignore[arg-type]
    scores = np.asarray(model.predict(QUERY, documents))  # type: ignore[union-attr, call-arg]
    allowed = TOLERANCE[precision] * max(1.0, float(np.abs(reference).max()))
    np.testing.assert_allclose(scores, reference, atol=allowed)
    # The order is the same wherever the reference's scores differ by more than twice what is allowed.
    apart = reference[:, None] - reference[None, :] > 2 * allowed
    assert (scores[:, None] > scores[None, :])[apart].all()
    top = len(set(np.argsort(-scores)[:10]) & set(np.argsort(-reference)[:10]))
    assert top >= 9


def test_half_precision_runs_without_padding() -> None:
    model = models.load(WorkerSettings(backend="torch", device="cuda:0", precision="bf16"))
    assert model.runtime.packed  # type: ignore[union-attr]
    assert model.runtime.multiple == 1  # type: ignore[union-attr]


def test_a_batch_that_the_device_does_not_hold_is_an_out_of_memory_and_the_next_one_runs(
    documents: Sequence[str],
) -> None:
    from workers.batcher import OutOfMemory

    model = models.load(WorkerSettings(backend="torch", device="cuda:0"))
    before = (
        torch.cuda.get_per_process_memory_fraction(0) if hasattr(torch.cuda, "get_per_process_memory_fraction") else 1
    )
    torch.cuda.set_per_process_memory_fraction(1e-4, 0)
    torch.cuda.empty_cache()
    try:
        with pytest.raises(OutOfMemory):
            model.predict(QUERY, list(documents) * 20)  # type: ignore[union-attr, call-arg]
    finally:
        torch.cuda.set_per_process_memory_fraction(before, 0)
    assert len(model.predict(QUERY, documents[:3])) == 3  # type: ignore[union-attr, call-arg]
