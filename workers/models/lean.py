"""BERT for export, computing in its last layer only what the head reads: the first token.

The scores are the same sums as the whole model's. Of the last layer, keys and values of all tokens are needed, but
queries, output projection and feed-forward of the first token alone: of a 3-layer model's work, a quarter goes.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import nn

from workers.models import packed

__all__ = ["LeanBert", "fits"]


def fits(model: nn.Module) -> bool:
    """Whether `LeanBert` computes this model."""
    return packed.fits(model)


class LeanBert(nn.Module):
    """`forward(input_ids, attention_mask, token_type_ids)`, each n × tokens → logits, n × labels.

    It shares the modules of the `BertForSequenceClassification` that it is made of.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        whole = cast("Any", model)
        self._embeddings = whole.bert.embeddings
        self._layers = whole.bert.encoder.layer
        self._pooler = whole.bert.pooler
        self._classifier = whole.classifier
        self._heads = int(whole.config.num_attention_heads)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        """See the class."""
        hidden = self._embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        # Added to the products of queries and keys: 0 for a token, the lowest number for padding.
        bias = (1.0 - attention_mask[:, None, None, :].to(hidden.dtype)) * torch.finfo(hidden.dtype).min
        for layer in self._layers[:-1]:
            hidden = self._layer(layer, hidden, hidden, bias)
        first = self._layer(self._layers[-1], hidden[:, :1], hidden, bias)
        return cast("torch.Tensor", self._classifier(self._pooler(first)))

    def _layer(self, layer: Any, asking: torch.Tensor, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """One layer's output for the tokens `asking`, which attend to all of `hidden`."""
        attention = layer.attention.self
        query = self._split(attention.query(asking))
        key = self._split(attention.key(hidden))
        value = self._split(attention.value(hidden))
        weights = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + bias
        context = (torch.softmax(weights, dim=-1) @ value).transpose(1, 2).flatten(2)
        output = layer.attention.output
        asking = output.LayerNorm(output.dense(context) + asking)
        inner = layer.intermediate.intermediate_act_fn(layer.intermediate.dense(asking))
        return cast("torch.Tensor", layer.output.LayerNorm(layer.output.dense(inner) + asking))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """n × tokens × width → n × heads × tokens × size."""
        return x.view(x.shape[0], x.shape[1], self._heads, x.shape[-1] // self._heads).transpose(1, 2)
