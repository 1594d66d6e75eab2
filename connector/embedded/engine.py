"""Starts a real search engine on loopback: fetched and assembled at the first start, in seconds after that."""

import http.client
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from connector.embedded import account, artifacts, cache, java, ports, process, rundir
from connector.embedded.distribution import Distribution, Tools
from connector.embedded.elasticsearch import Elasticsearch
from connector.embedded.process import Child
from connector.embedded.report import Report, quiet
from connector.embedded.rundir import RunFolder

__all__ = ["EngineName", "RunningEngine", "prepare", "start_engine"]

EngineName = Literal["elasticsearch", "opensearch"]
BOOT_DEADLINE_S = 180.0
HEAP_MB = 512


@dataclass(frozen=True, kw_only=True)
class RunningEngine:
    """An engine that answers."""

    url: str
    name: EngineName
    #: as the engine itself says
    version: str
    pid: int
    log: Path
    child: Child


@contextmanager
def start_engine(
    name: EngineName,
    *,
    data: Path | None = None,
    report: Report = quiet,
    port: int = 0,
    in_memory: bool = False,
    heap_mb: int = HEAP_MB,
) -> Iterator[RunningEngine]:
    """Run an engine until the context ends.

    `data` keeps its indices; without it they pass away with the run, and `in_memory` puts them on the RAM disk.
    `port` 0 lets the engine choose. Raises EmbeddedError and MissingExtra.
    """
    ports.check_free(port)
    user = account.server_account()
    engine = _distribution(name)
    home, runtime = prepare(engine, report)
    with rundir.opened(data, user, in_memory=in_memory) as run:
        engine.configure(home, run, _settings(name, run, port))
        for path in run.config.iterdir():
            path.chmod(0o644)
        _forget_ports(run)
        report.step(f"Starting {engine.title}")
        with process.running(
            engine.title,
            engine.command(runtime, home, run, heap_mb),
            log=run.output,
            cwd=run.tmp,
            env={"PATH": os.defpath, "HOME": str(run.tmp), "LANG": "C.UTF-8"},
            account=user,
            keep=[run.lock],
        ) as child:
            yield _ready(name, child, run)


def prepare(engine: Distribution, report: Report) -> tuple[Path, Path]:
    """The engine's home and the `java` to run it on, downloaded and assembled unless they are in the cache."""
    folder = cache.cache_folder()
    with cache.locked(folder, report):
        runtime = java.runtime(folder, account.server_account(), report)

        def build(home: Path) -> None:
            files = artifacts.fetch(
                engine.artifacts, folder / "artifacts", title=engine.title, report=report, environ=os.environ
            )
            report.step(f"Assembling {engine.title}")
            with cache.disk_errors(home):
                engine.assemble(home, Tools(java=runtime, files=files))

        home = cache.prepared(folder / f"{engine.name}-{engine.version}-{engine.recipe}", build, report)
    return home, runtime


def _distribution(name: EngineName) -> Distribution:
    if name == "opensearch":
        from connector.embedded.opensearch import OpenSearch

        return OpenSearch()
    return Elasticsearch()


def _settings(name: str, run: RunFolder, port: int) -> dict[str, object]:
    return {
        "cluster.name": "rerank-bridge",
        "node.name": f"{name}-1",
        # The engine takes free ports and writes them to files: asking for one beforehand would be a race.
        "node.portsfile": True,
        "discovery.type": "single-node",
        "network.host": ports.HOST,
        "http.port": port,
        "transport.port": 0,
        "path.data": str(run.data),
        "path.logs": str(run.logs),
        "cluster.routing.allocation.disk.threshold_enabled": False,
    }


def _forget_ports(run: RunFolder) -> None:
    for path in run.logs.glob("*.ports"):
        path.unlink()


def _ready(name: EngineName, child: Child, run: RunFolder) -> RunningEngine:
    def address() -> str | None:
        try:
            lines = (run.logs / "http.ports").read_text().splitlines()
        except FileNotFoundError:
            return None
        return next((line for line in lines if line.startswith(ports.HOST)), None)

    def answer(where: str, path: str) -> dict[str, Any] | None:
        connection = http.client.HTTPConnection(where, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        return body if response.status == 200 else None

    where = process.wait_until(child, address, BOOT_DEADLINE_S)
    health = "/_cluster/health?wait_for_status=yellow&timeout=5s"
    process.wait_until(child, lambda: answer(where, health), BOOT_DEADLINE_S)
    root = process.wait_until(child, lambda: answer(where, "/"), BOOT_DEADLINE_S)
    return RunningEngine(
        url=f"http://{where}", name=name, version=root["version"]["number"], pid=child.pid, log=child.log, child=child
    )
