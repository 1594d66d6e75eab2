"""Scores of (query, passage) pairs by a torch model or an ONNX file, over the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from transformers import PreTrainedTokenizerBase

__all__ = ["Run", "batches", "onnx_run", "score", "torch_run"]

_BATCH = 32

#: Takes int64 input_ids, attention_mask and token_type_ids [pairs, tokens]; gives logits [pairs, 1].
Run = Callable[[Mapping[str, np.ndarray]], np.ndarray]


def torch_run(model: torch.nn.Module, *, bf16: bool = False) -> Run:
    """`model` on the CPU, in fp32 or, for quick rounds, bf16."""

    def run(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            logits = model(**{name: torch.from_numpy(values) for name, values in inputs.items()}).logits
        return np.asarray(logits.float().numpy())

    return run


def onnx_run(path: Path, *, threads: int) -> Run:
    """The ONNX file at `path` in ONNX Runtime's CPU provider."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda inputs: np.asarray(session.run(["logits"], dict(inputs))[0])


def batches(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]], *, max_length: int
) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """(places of the pairs, their padded inputs), pairs of similar length together; passages are cut, queries not."""
    order = np.argsort([len(query) + len(passage) for query, passage in pairs], kind="stable")
    groups = [order[first : first + _BATCH] for first in range(0, len(order), _BATCH)]
    return [(places, _inputs(tokenizer, [pairs[place] for place in places], max_length)) for places in groups]


def _inputs(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]], max_length: int
) -> dict[str, np.ndarray]:
    queries, passages = zip(*pairs, strict=True)
    encoded = tokenizer(
        list(queries),
        list(passages),
        truncation="only_second",
        max_length=max_length,
        padding=True,
        return_tensors="np",
    )
    return {name: np.asarray(values, dtype=np.int64) for name, values in encoded.items()}


def score(
    run: Run, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]], *, max_length: int
) -> np.ndarray:
    """One float32 logit per pair, in the order of `pairs`."""
    scores = np.zeros(len(pairs), dtype=np.float32)
    for places, inputs in batches(tokenizer, pairs, max_length=max_length):
        scores[places] = run(inputs)[:, 0]
    return scores
