"""The student: a cross-encoder cut from the bi-encoder's layers and its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import BertForSequenceClassification, PreTrainedTokenizerBase

from workers.training.recipe import teacher

__all__ = ["Student", "collate", "join", "token_ids"]

_PART = 1000


class Student(torch.nn.Module):
    """The classifier that ships and the head that guides it: one value per query token, dropped after training."""

    def __init__(self, layers: Sequence[int]) -> None:
        super().__init__()
        source = teacher.weights_folder()
        model = BertForSequenceClassification.from_pretrained(source, num_labels=1, attn_implementation="eager")
        model.bert.encoder.layer = torch.nn.ModuleList(model.bert.encoder.layer[number] for number in layers)
        model.config.num_hidden_layers = len(layers)
        model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model.bert.embeddings.requires_grad_(requires_grad=False)
        self.model = model
        self.match = torch.nn.Linear(model.config.hidden_size, 1)

    def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [pairs] and match estimates [pairs, tokens] of a batch made by `collate`.

        The last layer is computed for the first token only, which alone is read of it: a fifth of the work saved.
        """
        bert: Any = self.model.bert
        mask = batch["attention_mask"].bool()[:, None, None, :]
        states = bert.embeddings(input_ids=batch["input_ids"], token_type_ids=batch["token_type_ids"])
        *lower, last = bert.encoder.layer
        for layer in lower:
            states = _layer(layer, states, states, mask)
        first = _layer(last, states[:, :1], states, mask)
        return self.model.classifier(bert.pooler(first)).squeeze(-1), self.match(states).squeeze(-1)


def _layer(layer: Any, asking: torch.Tensor, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """One encoder layer for the `asking` tokens [pairs, asking, width], which attend to all `states`."""
    attention = layer.attention.self
    heads = attention.num_attention_heads

    def split(values: torch.Tensor) -> torch.Tensor:
        return values.view(*values.shape[:2], heads, -1).transpose(1, 2)

    queries, keys, values = split(attention.query(asking)), split(attention.key(states)), split(attention.value(states))
    weights = (queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5).masked_fill(~mask, -torch.inf).softmax(-1)
    mixed = (weights.to(values.dtype) @ values).transpose(1, 2).flatten(2)
    attended = layer.attention.output(mixed, asking)
    output: torch.Tensor = layer.output(layer.intermediate(attended), attended)
    return output


def token_ids(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, limit: int) -> list[np.ndarray]:
    """Ids of each text (int32), at most `limit`, without special tokens; in parts, to keep memory small."""
    ids: list[np.ndarray] = []
    for first in range(0, len(texts), _PART):
        part = list(texts[first : first + _PART])
        encoded = tokenizer(
            part,
            add_special_tokens=False,
            truncation=True,
            max_length=limit,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        ids.extend(np.array(row, dtype=np.int32) for row in encoded["input_ids"])
    return ids


def join(query: np.ndarray, passage: np.ndarray, tokenizer: PreTrainedTokenizerBase, limit: int) -> np.ndarray:
    """[CLS] query [SEP] passage [SEP], the passage cut so that the whole has at most `limit` tokens."""
    room = limit - len(query) - 3
    end = [tokenizer.sep_token_id]
    return np.concatenate([[tokenizer.cls_token_id], query, end, passage[:room], end])


def collate(rows: Sequence[np.ndarray], queries: Sequence[int]) -> dict[str, torch.Tensor]:
    """Model inputs [pairs, tokens] of joined rows; `queries` holds each query's length."""
    width = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask, types = torch.zeros_like(ids), torch.zeros_like(ids)
    for place, (row, query) in enumerate(zip(rows, queries, strict=True)):
        ids[place, : len(row)] = torch.from_numpy(row)
        mask[place, : len(row)] = 1
        types[place, query + 2 : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
