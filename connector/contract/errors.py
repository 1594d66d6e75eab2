"""Every exception of the project, in one tree.

RerankBridgeError                   exit code 1
├── ConfigurationError              2   a setting, option or file that cannot be used as it is
│   └── MissingExtra                2   a command or backend whose optional dependencies are not installed
├── InputError                      2   a line of the user's data that cannot be used
├── EngineError                     3   the search engine
│   ├── EngineUnavailable           3   no answer: refused connection, timeout, broken TLS
│   └── EngineRefused               3   it answered no: the status and its own reason
├── ScoringError                    4   no scores (all of them) in time
│   ├── ScoringTimeout              4   the deadline passed
│   ├── NoWorker                    4   no live worker for the model
│   ├── QueueUnavailable            4   broker, state or reply path does not answer
│   ├── Shed                        4   refused because of load, here or in the worker
│   ├── CircuitOpen                 4   not tried after repeated failures
│   └── ModelFailed                 4   the model ran and failed
├── ModelError                      5   a model that cannot be loaded or is not what the task needs
├── WireError                       1   a message of another version or shape
└── EmbeddedError                   6   the one-machine stack: downloads, ports, processes
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "CircuitOpen",
    "ConfigurationError",
    "EmbeddedError",
    "EngineError",
    "EngineRefused",
    "EngineUnavailable",
    "InputError",
    "MissingExtra",
    "ModelError",
    "ModelFailed",
    "NoWorker",
    "QueueUnavailable",
    "RerankBridgeError",
    "ScoringError",
    "ScoringTimeout",
    "Shed",
    "WireError",
]


class RerankBridgeError(Exception):
    """Something went wrong in rerank-bridge."""

    #: What a command that ends with this error exits with.
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class ConfigurationError(RerankBridgeError):
    """A setting cannot be used as it is."""

    exit_code = 2


class MissingExtra(ConfigurationError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs packages that are not installed: pip install 'rerank-bridge[{extra}]'")
        self.extra = extra


class InputError(RerankBridgeError):
    """A line of the input cannot be used."""

    exit_code = 2

    @classmethod
    def at(cls, path: object, line: int, problem: str) -> InputError:
        """The error for line `line` (1-based) of the file `path`."""
        return cls(f"{path}, line {line}: {problem}")


class EngineError(RerankBridgeError):
    """The search engine did not give what was asked for."""

    exit_code = 3


class EngineUnavailable(EngineError):
    """The search engine does not answer."""


class EngineRefused(EngineError):
    """The search engine answered no.

    `status` is the HTTP status, `body` the answer's bytes as the engine sent them.
    """

    def __init__(self, message: str, *, status: int, body: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class ScoringError(RerankBridgeError):
    """The candidates could not be scored."""

    exit_code = 4
    #: The value of `X-Rerank-Status` that this failure is told as.
    status: ClassVar[str] = "error"


class ScoringTimeout(ScoringError):
    """The scores did not come before the deadline."""

    status = "timeout"


class NoWorker(ScoringError):
    """No live worker serves this model."""

    status = "unavailable"


class QueueUnavailable(ScoringError):
    """Broker or state Redis does not answer."""

    status = "unavailable"


class Shed(ScoringError):
    """Too much work is waiting to finish before the deadline."""

    status = "shed"


class CircuitOpen(ScoringError):
    """Scoring failed repeatedly and is not tried for a while."""

    status = "unavailable"


class ModelFailed(ScoringError):
    """The model failed on this batch."""


class ModelError(RerankBridgeError):
    """The model cannot be used."""

    exit_code = 5


class WireError(RerankBridgeError):
    """A message cannot be read: connector and worker are of different versions."""


class EmbeddedError(RerankBridgeError):
    """The embedded stack cannot be started."""

    exit_code = 6
