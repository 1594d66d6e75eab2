"""What the student is asked to match: the teacher's scores of a list, the label, and the query tokens' best matches."""

from __future__ import annotations

import numpy as np
import torch

from workers.training.recipe.lists import Lists
from workers.training.recipe.settings import RecipeSettings

__all__ = ["list_loss", "targets", "token_targets"]

#: Mean spread of a list's target scores: wide enough for a decided softmax, and the scale of the student's logits.
_SPREAD = 1.5


def targets(lists: Lists, settings: RecipeSettings) -> np.ndarray:
    """Teacher scores [lists, candidates], float32: the weighted sum of cosine, mean token match and BM25.

    Cosine and match keep their zero point over all lists, so that a score means the same for every query; BM25, whose
    scale depends on the query, is standardised inside its list.
    """
    match = np.nanmean(np.where(np.isnan(lists.matches).all(-1, keepdims=True), 0.0, lists.matches), axis=-1)
    lexical = lists.bm25 - lists.bm25.mean(1, keepdims=True)
    lexical = lexical / np.maximum(lexical.std(1, keepdims=True), 1e-6)
    parts = (
        (settings.cosine_weight, lists.cosine),
        (settings.match_weight, match),
        (settings.bm25_weight, lexical),
    )
    total = sum(weight * (values - values.mean()) / values.std(1).mean() for weight, values in parts)
    return np.asarray(total * (_SPREAD / total.std(1).mean()), dtype=np.float32)


def token_targets(lists: Lists) -> np.ndarray:
    """Best matches of the query tokens as standard scores over all lists; nan where there is no token."""
    values = lists.matches.astype(np.float32)
    return np.asarray((values - np.nanmean(values)) / np.nanstd(values), dtype=np.float32)


def list_loss(scores: torch.Tensor, target: torch.Tensor, settings: RecipeSettings) -> torch.Tensor:
    """KL divergence over each list (the label, in the first column, has its share of the target) and squared error."""
    wanted = (1 - settings.label_share) * target.softmax(-1)
    wanted[:, : settings.labelled] += settings.label_share / max(settings.labelled, 1)
    divergence = torch.nn.functional.kl_div(scores.log_softmax(-1), wanted, reduction="batchmean")
    return divergence + settings.mse_weight * torch.nn.functional.mse_loss(scores, target)
