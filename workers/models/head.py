"""Pure: from what a classification head puts out to one raw logit a pair."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["gives_probabilities", "raw_logits"]

#: Names under which exported graphs put out probabilities; plain heads call their output "logits".
_PROBABILITIES = {"probabilities", "probability", "probs", "scores", "score", "sigmoid", "softmax"}
#: float32 cannot tell probabilities nearer to 0 or 1 apart.
_EDGE: Final = 1e-7


def gives_probabilities(config: dict[str, Any], output_name: str = "logits") -> bool:
    """Whether the model itself ends with a sigmoid or softmax.

    `rerank_bridge.output` of config.json ("logits" or "probabilities") says so; else the exported output's name does.
    The activation that sentence-transformers notes in config.json is applied to the logits afterwards, by whoever
    shows them, so it says nothing about the model's own output.
    """
    told = (config.get("rerank_bridge") or {}).get("output")
    if told in ("logits", "probabilities"):
        return bool(told == "probabilities")
    return output_name.lower() in _PROBABILITIES


def raw_logits(outputs: NDArray[Any], *, relevant: int = 1, probabilities: bool = False) -> NDArray[np.float32]:
    """One logit a row of `outputs` (n × 1 or n × 2, or n).

    Of two classes it is the difference of their logits, whose sigmoid is the softmax of the relevant one; of a
    probability p it is ln(p / (1 - p)).
    """
    values = np.asarray(outputs, dtype=np.float32)
    if values.ndim == 1:
        values = values[:, None]
    if probabilities:
        column = values[:, relevant if values.shape[1] == 2 else 0].astype(np.float64)
        clipped = np.clip(np.where(np.isfinite(column), column, np.nan), _EDGE, 1 - _EDGE)
        return np.asarray(np.log(clipped / (1 - clipped)), dtype=np.float32)
    if values.shape[1] == 2:
        return values[:, relevant] - values[:, 1 - relevant]
    return values[:, 0]
