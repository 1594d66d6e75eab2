"""BERT without padding: the tokens of a batch in one row, attention within each sequence by its bounds.

Built from a loaded `BertForSequenceClassification`, whose weights it shares. The head runs in float32.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

__all__ = ["PackedBert", "attend_by_loop", "attend_varlen", "fits"]

#: (query, key, value: tokens × heads × size; bounds: rows + 1, int32; longest row) → tokens × heads × size.
Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int], torch.Tensor]


def fits(model: nn.Module) -> bool:
    """Whether the checkpoint is of the plain BERT kind that `PackedBert` computes."""
    config = cast("Any", model).config
    return (
        config.model_type == "bert"
        and type(model).__name__ == "BertForSequenceClassification"
        and getattr(config, "position_embedding_type", None) in (None, "absolute")
        and not getattr(config, "is_decoder", False)
        and config.hidden_act in ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu")
    )


def attend_varlen(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: torch.Tensor, longest: int
) -> torch.Tensor:
    """Attention on CUDA in half precision, by torch's own variable-length kernel (torch 2.10 and later)."""
    from torch.nn.attention.varlen import varlen_attn

    return cast("torch.Tensor", varlen_attn(query, key, value, bounds, bounds, longest, longest))


def attend_by_loop(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: torch.Tensor, longest: int
) -> torch.Tensor:
    """The same sum row by row, on any device and in any precision: what `attend_varlen` is held to."""
    del longest
    out = torch.empty_like(query)
    edges = bounds.tolist()
    for start, end in itertools.pairwise(edges):
        q, k, v = (x[start:end].transpose(0, 1) for x in (query, key, value))
        out[start:end] = nn.functional.scaled_dot_product_attention(q, k, v).transpose(0, 1)
    return out


class PackedBert(nn.Module):
    """`forward(ids, types, positions, bounds, longest)` → outputs of the head, rows × labels, float32."""

    def __init__(self, model: nn.Module, attention: Attention) -> None:
        super().__init__()
        whole = cast("Any", model)
        self._attention = attention
        self._embeddings = whole.bert.embeddings
        self._layers = whole.bert.encoder.layer
        self._heads = whole.config.num_attention_heads
        self._pooler = whole.bert.pooler.dense.float()
        self._classifier = whole.classifier.float()
        self._inputs = nn.ModuleList(_joined(layer.attention.self) for layer in self._layers)

    def forward(
        self,
        ids: torch.Tensor,
        types: torch.Tensor,
        positions: torch.Tensor,
        bounds: torch.Tensor,
        longest: int,
    ) -> torch.Tensor:
        """`ids`, `types`, `positions`: one number a token; `bounds`: where each row begins, and the end, int32."""
        embeddings = self._embeddings
        hidden = (
            embeddings.word_embeddings(ids)
            + embeddings.token_type_embeddings(types)
            + embeddings.position_embeddings(positions)
        )
        hidden = embeddings.LayerNorm(hidden)
        tokens, width = hidden.shape
        for layer, project in zip(self._layers, self._inputs, strict=True):
            query, key, value = project(hidden).view(tokens, 3, self._heads, width // self._heads).unbind(1)
            context = self._attention(query, key, value, bounds, longest).reshape(tokens, width)
            output = layer.attention.output
            hidden = output.LayerNorm(output.dense(context) + hidden)
            inner = layer.intermediate.intermediate_act_fn(layer.intermediate.dense(hidden))
            hidden = layer.output.LayerNorm(layer.output.dense(inner) + hidden)
        first = hidden[bounds[:-1].long()].float()
        return cast("torch.Tensor", self._classifier(torch.tanh(self._pooler(first))))


def _joined(attention: Any) -> nn.Linear:
    """One matrix product in place of three."""
    parts = (attention.query, attention.key, attention.value)
    weight = torch.cat([part.weight for part in parts])
    joined = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
    joined.weight = nn.Parameter(weight, requires_grad=False)
    joined.bias = nn.Parameter(torch.cat([part.bias for part in parts]), requires_grad=False)
    return joined
