"""What a worker says about itself every few seconds, in the state Redis.

`rr:worker:<id>` holds the heartbeat as JSON and expires when the worker is gone; `rr:workers` is the set of ids to
look under; `rr:alias:<alias>` remembers the last heartbeat announced for an alias (JSON, no expiry), so that cached
scores serve while no worker lives.
A worker writes its first heartbeat when its model is warm.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from connector.contract.errors import WireError

__all__ = ["INTERVAL", "LIFETIME", "Heartbeat"]

#: Seconds between two heartbeats, and after which a silent worker counts as gone.
INTERVAL = 1.0
LIFETIME = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Heartbeat:
    """One worker process, now."""

    id: str
    kind: Literal["score", "embed"]
    alias: str
    #: Hexadecimal digest of weights, tokenizer, precision and max length.
    fingerprint: str
    model: str
    #: "torch", "onnx"; "cpu", "cuda:0"; "fp32", "bf16", "int8".
    backend: str
    device: str
    precision: str
    max_length: int
    #: Vector dimensions of a bi-encoder, 0 for a cross-encoder.
    dimensions: int = 0
    host: str
    pid: int
    #: Seconds since the Unix epoch at which the model was warm: orders two models of one alias.
    started: float
    #: Measured service time, waiting requests and tokens: what a connector estimates its wait from.
    ms_per_1000_tokens: float = 0.0
    queue_wait_ms: float = 0.0
    waiting: int = 0
    waiting_tokens: int = 0
    in_flight: int = 0

    def encode(self) -> str:
        """JSON for the state Redis."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def decode(cls, data: bytes | str) -> Heartbeat:
        """The inverse of `encode`; keys that a newer worker adds are ignored.

        Raises:
            WireError: not JSON, or a field is missing.
        """
        try:
            message: dict[str, Any] = json.loads(data)
            return cls(**{name: message[name] for name in cls.__dataclass_fields__ if name in message})
        except (TypeError, ValueError) as exc:
            raise WireError(f"a worker's heartbeat cannot be read: {exc!r}") from exc
