"""The run record `run.json` beside a trained model: data digests, settings, versions, metrics."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from datetime import UTC, datetime

import torch

__all__ = ["now", "versions", "weights_digest"]

_PACKAGES = ("rerank-bridge", "torch", "transformers", "sentence-transformers", "datasets", "bm25s", "ir_measures")


def now() -> str:
    """This instant in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Of Python and of every package that has a say in the result."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def weights_digest(model: torch.nn.Module) -> str:
    """SHA-256 over the names and values of a model's weights."""
    total = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        total.update(name.encode())
        total.update(value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()
