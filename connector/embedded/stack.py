"""Brings up engine, Redis-protocol server and worker together, and takes them down in reverse order."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from connector.embedded import account, cache
from connector.embedded.coordinator import start_coordinator
from connector.embedded.engine import EngineName, start_engine
from connector.embedded.process import Child
from connector.embedded.report import Report, quiet
from connector.embedded.valkey import start_valkey
from connector.embedded.worker import RunningWorker, start_worker

__all__ = ["Stack", "start_stack"]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Everything that the project needs, running on this machine."""

    engine_url: str
    engine_name: EngineName
    engine_version: str
    #: one server plays the three roles
    broker_url: str
    state_url: str
    cache_url: str
    #: None without a worker
    worker: RunningWorker | None
    #: the RERANK_BRIDGE_* variables that clients of this stack need
    environment: dict[str, str]
    children: tuple[Child, ...]

    def check(self) -> None:
        """Raise ChildDied, with the end of its log, when one of the processes has ended."""
        for child in self.children:
            child.check()


@contextmanager
def start_stack(
    *,
    engine: EngineName = "elasticsearch",
    worker: bool = True,
    jobs: bool = False,
    data: Path | None = None,
    model: str | None = None,
    backend: str | None = None,
    report: Report = quiet,
    engine_port: int = 0,
    valkey_port: int = 0,
    in_memory: bool = False,
) -> Iterator[Stack]:
    """Run the stack until the context ends.

    `data` keeps indices, scores and the hash key; without it they pass away with the run. Port 0 takes a free one.
    Raises EmbeddedError and MissingExtra.
    """
    with ExitStack() as running:
        valkey = running.enter_context(
            start_valkey(
                data=data and data / "valkey",
                append_only=data is not None,
                report=report,
                port=valkey_port,
                in_memory=in_memory,
            )
        )
        search = running.enter_context(
            start_engine(engine, data=data and data / engine, report=report, port=engine_port, in_memory=in_memory)
        )
        environment = {
            "RERANK_BRIDGE_ENGINE_URL": search.url,
            "RERANK_BRIDGE_BROKER_URL": valkey.url,
            "RERANK_BRIDGE_STATE_URL": valkey.url,
            "RERANK_BRIDGE_CACHE_URL": valkey.url,
            "RERANK_BRIDGE_HASH_KEY": _hash_key(data),
        }
        if jobs and data is not None:
            environment["RERANK_BRIDGE_JOBS_DIR"] = str((data / "jobs").absolute())
        scorer = None
        children = [valkey.child, search.child]
        if worker:
            scorer = running.enter_context(start_worker(environment, model=model, backend=backend, report=report))
            children.append(scorer.child)
        if jobs:
            children.append(running.enter_context(start_coordinator(environment, report=report)))
        yield Stack(
            engine_url=search.url,
            engine_name=search.name,
            engine_version=search.version,
            broker_url=valkey.url,
            state_url=valkey.url,
            cache_url=valkey.url,
            worker=scorer,
            environment=environment,
            children=tuple(children),
        )


def _hash_key(data: Path | None) -> str:
    """The key of cached scores: kept with the data, since without it they are never found again."""
    fresh = secrets.token_hex(32)
    if data is None:
        return fresh
    path = account.make_folder(data.absolute()) / "hash-key"
    with cache.disk_errors(path):
        if not path.exists():
            # mkstemp makes it with mode 0600; the key appears whole or not at all.
            descriptor, partial = tempfile.mkstemp(dir=data, prefix=".hash-key-")
            with os.fdopen(descriptor, "w") as file:
                file.write(fresh)
            Path(partial).rename(path)
        return path.read_text().strip()
