"""The servers that `evaluate` starts for itself on this machine, in place of those that the environment names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from connector.embedded import cache
from connector.embedded.engine import start_engine
from connector.embedded.report import Report
from connector.embedded.valkey import start_valkey
from connector.embedded.worker import start_worker

__all__ = ["Wanted", "started"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is started."""

    engine: bool
    #: A worker with the cross-encoder, and one with the bi-encoder of kNN and hybrid search; Valkey with either.
    scorer: bool
    embedder: bool = False
    alias: str = "default"
    #: Name or path of the cross-encoder; "torch" or "onnx". None: the worker's own default.
    model: str | None = None
    backend: str | None = None
    #: Where indices and scores are kept; None: in the cache folder.
    home: Path | None = None


@contextlib.contextmanager
def started(wanted: Wanted, environment: Mapping[str, str], report: Report) -> Iterator[dict[str, str]]:
    """Starts what is wanted, and yields the environment in which it is found.

    Raises:
        EmbeddedError: a server does not start, or another evaluation uses the same home.
    """
    home = wanted.home or cache.cache_folder() / "evaluate"
    found = dict(environment)
    with contextlib.ExitStack() as running:
        if wanted.engine:
            engine = running.enter_context(start_engine("elasticsearch", data=home / "elasticsearch", report=report))
            found["RERANK_BRIDGE_ENGINE_URL"] = engine.url
            for name in ("RERANK_BRIDGE_ENGINE_CA_FILE", "RERANK_BRIDGE_ENGINE_API_KEY"):
                found.pop(name, None)
        if wanted.scorer or wanted.embedder:
            valkey = running.enter_context(start_valkey(data=home / "valkey", append_only=True, report=report))
            for role in ("BROKER", "STATE", "CACHE"):
                found[f"RERANK_BRIDGE_{role}_URL"] = valkey.url
            # Nobody else writes documents here, and stored scores must be found again: no secret key.
            found["RERANK_BRIDGE_HASH_KEY"] = ""
        if wanted.scorer:
            running.enter_context(
                start_worker(found, model=wanted.model, backend=wanted.backend, alias=wanted.alias, report=report)
            )
        if wanted.embedder:
            running.enter_context(start_worker(found, kind="embed", alias="embed", report=report))
        yield found
