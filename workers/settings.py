"""What a worker process is told at its start, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Backend", "Kind", "Precision", "WorkerSettings"]

Kind = Literal["score", "embed"]
Backend = Literal["auto", "torch", "onnx"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """Every default of the worker stands here."""

    #: Name on the hub or path of a folder; None: the bundled cross-encoder.
    model: str | None = None
    revision: str | None = None
    #: Name under which policies ask for this model; None: "default" for a cross-encoder, "embed" for a bi-encoder.
    alias: str | None = None
    kind: Kind = "score"
    backend: Backend = "auto"
    #: "auto", "cpu", "cuda" or "cuda:N".
    device: str = "auto"
    precision: Precision = "auto"
    #: Tokens of a pair that the model reads.
    max_length: int = 256
    #: Threads of one forward pass on a CPU; 0: one per physical core that this process may use.
    threads: int = 0
    #: Padded tokens taken at once; 0: by device (`workers.models.runtime`).
    batch_tokens: int = 0
    #: Requests that this process takes from the queues at once.
    slots: int = 32
    #: Bytes of document token ids kept.
    token_cache: int = 64 << 20

    @property
    def announced_alias(self) -> str:
        """The alias that this worker serves."""
        return self.alias or ("default" if self.kind == "score" else "embed")
