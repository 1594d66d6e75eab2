"""What a folder holds decides what is loaded, refused and fingerprinted."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from connector.contract.errors import ConfigurationError, ModelError
from workers import models
from workers.models import fingerprint, folder, head, onnx_files
from workers.models.cross_encoder import readable_length
from workers.models.token_cache import TokenCache
from workers.settings import WorkerSettings
from workers.supervise import commands

BERT = {"architectures": ["BertForSequenceClassification"]}


def made(path: Path, config: object) -> folder.ModelFolder:
    (path / "config.json").write_text(json.dumps(config))
    return folder.ModelFolder(path, "made")


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        ({**BERT, "num_labels": 1}, 1),
        ({**BERT, "id2label": {"0": "LABEL_0"}}, 1),
        ({**BERT, "id2label": {"0": "a", "1": "b"}}, 2),
        (BERT, 2),
    ],
)
def test_the_number_of_labels_is_read_as_transformers_reads_it(tmp_path: Path, config: object, labels: int) -> None:
    assert made(tmp_path, config).labels() == labels


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"architectures": ["BertModel"]}, "no cross-encoder"),
        ({}, "no cross-encoder"),
        ({**BERT, "id2label": {str(n): str(n) for n in range(3)}}, "3 labels"),
    ],
)
def test_what_is_no_cross_encoder_is_refused_in_one_line(tmp_path: Path, config: object, reason: str) -> None:
    with pytest.raises(ModelError, match=reason) as caught:
        made(tmp_path, config).labels()
    assert "\n" not in str(caught.value)


def test_of_two_classes_the_one_named_relevant_counts_and_else_the_second(tmp_path: Path) -> None:
    assert made(tmp_path, {**BERT, "id2label": {"0": "relevant", "1": "irrelevant"}}).relevant_label() == 0
    assert made(tmp_path, {**BERT, "id2label": {"0": "LABEL_0", "1": "LABEL_1"}}).relevant_label() == 1
    assert made(tmp_path, BERT).relevant_label() == 1


@pytest.mark.parametrize("name", ["/no/such/folder", "./nothing", "a/b/c"])
def test_a_folder_that_does_not_exist_is_a_model_error(name: str) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):
        models.load(WorkerSettings(model=name))


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_config_that_is_no_object_is_a_model_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config\.json"):
        folder.ModelFolder(tmp_path, "made")


def test_positions_limit_what_a_model_reads(tmp_path: Path) -> None:
    assert readable_length(made(tmp_path, {"max_position_embeddings": 512}), 256) == 256
    assert readable_length(made(tmp_path, {"max_position_embeddings": 128}), 256) == 128
    roberta = {"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}
    assert readable_length(made(tmp_path, roberta), 1000) == 512


def test_int8_is_preferred_where_the_precision_is_left_open(tmp_path: Path) -> None:
    found = made(tmp_path, BERT)
    assert onnx_files.graph(found, "auto") is None
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx/model.onnx").touch()
    assert onnx_files.graph(found, "auto") == (tmp_path / "onnx/model.onnx", "fp32")
    (tmp_path / "onnx/model_int8.onnx").touch()
    assert onnx_files.graph(found, "auto") == (tmp_path / "onnx/model_int8.onnx", "int8")
    assert onnx_files.graph(found, "fp32") == (tmp_path / "onnx/model.onnx", "fp32")


def test_every_byte_of_the_files_the_precision_and_the_length_make_the_fingerprint(tmp_path: Path) -> None:
    weights, tokenizer = tmp_path / "weights", tmp_path / "tokenizer"
    weights.write_bytes(b"a" * 3_000_000)
    tokenizer.write_bytes(b"b")

    def digest(precision: str = "fp32", max_length: int = 256) -> str:
        return fingerprint.digest((weights, tokenizer), precision=precision, max_length=max_length)

    first = digest()
    assert len(first) == 32
    assert digest() == first
    assert len({first, digest("bf16"), digest(max_length=512)}) == 3
    weights.write_bytes(b"a" * 2_999_999 + b"c")
    assert digest() != first


def test_one_output_is_the_logit_and_two_are_their_difference() -> None:
    assert head.raw_logits(np.array([[1.5], [-2.0]])).tolist() == [1.5, -2.0]
    assert head.raw_logits(np.array([1.5, -2.0])).tolist() == [1.5, -2.0]
    two = np.array([[0.5, 2.0], [1.0, -1.0]])
    assert head.raw_logits(two).tolist() == [1.5, -2.0]
    assert head.raw_logits(two, relevant=0).tolist() == [-1.5, 2.0]
    softmax = np.exp(two[0]) / np.exp(two[0]).sum()
    assert 1 / (1 + math.exp(-1.5)) == pytest.approx(softmax[1])


def test_probabilities_are_taken_back_to_logits_and_stay_finite_at_the_ends() -> None:
    logits = head.raw_logits(np.array([[0.5], [0.9], [1.0], [0.0]]), probabilities=True)
    assert logits[:2].tolist() == pytest.approx([0.0, math.log(9)])
    assert np.isfinite(logits).all()
    assert logits[2] == -logits[3] > 10


@pytest.mark.parametrize("probabilities", [False, True])
def test_what_is_no_number_stays_none_whatever_the_head(probabilities: bool) -> None:
    bad = head.raw_logits(np.array([[np.nan], [np.inf], [-np.inf]]), probabilities=probabilities)
    assert not np.isfinite(bad).any()


def test_the_config_or_the_name_of_the_output_tells_probabilities_from_logits() -> None:
    assert not head.gives_probabilities({})
    assert head.gives_probabilities({}, "probabilities")
    assert head.gives_probabilities({"rerank_bridge": {"output": "probabilities"}})
    assert not head.gives_probabilities({"rerank_bridge": {"output": "logits"}}, "scores")
    sigmoid = {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}
    assert not head.gives_probabilities(sigmoid)


def test_the_token_cache_stays_within_its_bytes_and_forgets_the_least_used() -> None:
    cache = TokenCache(10_000)
    ids = np.arange(500, dtype=np.uint16)
    keys = [TokenCache.key(f"text {n}", whole=False) for n in range(20)]
    for key in keys:
        cache.put(key, ids)
        cache.get(keys[0])
    assert cache.size <= 10_000
    assert 0 < len(cache) < 20
    assert cache.get(keys[0]) is not None
    assert cache.get(keys[-1]) is not None
    assert cache.get(keys[1]) is None
    cache.put(TokenCache.key("huge", whole=True), np.zeros(100_000, dtype=np.uint16))
    assert cache.size <= 10_000


def test_a_cut_text_and_the_whole_of_it_are_kept_apart() -> None:
    assert TokenCache.key("text", whole=True) != TokenCache.key("text", whole=False)


def test_each_gpu_gets_the_same_command_with_its_own_device_and_port() -> None:
    line = ["rerank-bridge", "worker", "--devices", "all", "--alias=fast", "--metrics-port=9000", "--slots", "64"]
    kept = ["rerank-bridge", "worker", "--alias=fast", "--slots", "64"]
    assert commands(line, 2, 9000) == [
        [*kept, "--device", "cuda:0", "--metrics-port", "9000"],
        [*kept, "--device", "cuda:1", "--metrics-port", "9001"],
    ]


@pytest.mark.torch
def test_a_device_that_is_not_there_is_named() -> None:
    from workers.models.torch import choose_device, choose_precision

    with pytest.raises(ConfigurationError, match="cuda:99"):
        choose_device("cuda:99")
    with pytest.raises(ConfigurationError, match="tpu"):
        choose_device("tpu")
    assert choose_precision("auto", "cpu") == "fp32"
    assert choose_precision("auto", "cuda:0") == "bf16"
    with pytest.raises(ConfigurationError, match="int8"):
        choose_precision("int8", "cpu")
