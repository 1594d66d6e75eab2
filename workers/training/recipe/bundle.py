"""The folder that ships: fp16 weights, trimmed tokenizer, int8 ONNX file, each put in place whole."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, BertForSequenceClassification

from workers.export import graph, quantise
from workers.training.recipe import scoring, teacher, vocabulary

__all__ = ["build", "install"]

_SHIPPED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "config.json",
    "model.safetensors",
    "onnx/model_int8.onnx",
)


def build(
    model: BertForSequenceClassification, calibration: Sequence[tuple[str, str]], folder: Path, *, max_length: int
) -> torch.nn.Module:
    """Writes the whole Hugging Face folder of `model` and gives back the model as it was written, in fp32.

    `calibration`: (query, passage) pairs whose activations set the scales of the int8 file.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "onnx").mkdir(parents=True)
    vocabulary.write_tokenizer(teacher.weights_folder(), folder, max_length=max_length)
    shipped: Any = copy.deepcopy(model)
    shipped.eval()
    tokenizer = json.loads((teacher.weights_folder() / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary.trim(shipped, tokenizer["model"]["vocab"])
    shipped.config.name_or_path = ""
    shipped.half().save_pretrained(folder)
    shipped.float()
    fp32 = folder / "onnx" / "model.onnx"
    graph.write(shipped, fp32)
    batches = scoring.batches(AutoTokenizer.from_pretrained(folder), calibration, max_length=max_length)
    quantise.static(fp32, folder / "onnx" / "model_int8.onnx", [inputs for _, inputs in batches])
    written: torch.nn.Module = shipped
    return written


def install(folder: Path, output: Path) -> None:
    """Puts the built files into `output` one by one, each by a rename; other files there stay."""
    (output / "onnx").mkdir(parents=True, exist_ok=True)
    for name in _SHIPPED:
        beside = output / f"{name}.partial"
        shutil.copyfile(folder / name, beside)
        beside.replace(output / name)
