"""What `rerank-bridge serve` is told on its command line: frozen, and sent to each of its processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Limits", "ServeOptions"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Beyond any of these a request passes to the engine unreranked; nothing is refused."""

    #: Bytes of a search's body, as sent and as decoded.
    body: int = 1 << 20
    #: Bytes of an engine's response that is taken apart.
    response: int = 64 << 20
    #: Searches that are reranked at once in one process.
    concurrency: int = 64
    #: Items of an `_msearch`.
    items: int = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeOptions:
    """A proxy's settings, but for the policies, which can change while it runs."""

    engine_urls: tuple[str, ...]
    ca_file: Path | None = None
    #: Whether a request without `Authorization` gets the credentials of the engine's URL.
    add_credentials: bool = False
    policies: Path | None = None
    host: str = "127.0.0.1"
    port: int = 9250
    workers: int = 1
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    #: Seconds that requests under way may take after SIGTERM.
    drain: float = 30.0
    log_level: str = "info"
    #: Query texts in log lines.
    log_queries: bool = False
    limits: Limits = field(default_factory=Limits)
    #: Where Redis is and how texts are hashed: `Settings.from_environment` reads it in each process.
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
