"""The losses by name. All of them work on the raw logit: a sigmoid in front would flatten their gradient."""

from __future__ import annotations

from sentence_transformers.cross_encoder import CrossEncoder
from sentence_transformers.cross_encoder import losses as library
from torch import nn

__all__ = ["build"]


def build(name: str, model: CrossEncoder, mini_batch: int) -> nn.Module:
    """The loss `name` for `model`; list losses run `mini_batch` pairs through the model at a time.

    `bce`: binary cross-entropy of each pair. `listwise`: ListNet (Cao et al., ICML 2007). `lambda`: LambdaLoss with
    NDCG-Loss2++ weights at 10 (Wang et al., CIKM 2018). `mse`, `margin-mse`: distillation (Hofstätter et al., 2020).
    """
    identity = nn.Identity()
    match name:
        case "bce":
            return library.BinaryCrossEntropyLoss(model, activation_fn=identity)
        case "listwise":
            return library.ListNetLoss(model, activation_fn=identity, mini_batch_size=mini_batch)
        case "lambda":
            return library.LambdaLoss(model, k=10, activation_fn=identity, mini_batch_size=mini_batch)
        case "mse":
            return library.MSELoss(model, activation_fn=identity)
        case "margin-mse":
            return library.MarginMSELoss(model, activation_fn=identity)
    raise ValueError(f"no loss {name!r}")
