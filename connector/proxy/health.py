"""`/_rerank/health/live`, `/_rerank/health/ready` and `/_rerank/stats`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from connector.contract.errors import EngineUnavailable
from connector.contract.heartbeats import Heartbeat
from connector.proxy import asgi, faults
from connector.proxy.forward import Body, Forwarder, Request
from connector.proxy.searches import Searches
from connector.scoring.admission import Admission
from connector.scoring.directory import Directory

__all__ = ["Health"]


class Health:
    """Answers what a load balancer and an operator ask."""

    def __init__(self, forwarder: Forwarder, searches: Searches, directory: Directory, admission: Admission) -> None:
        self._forwarder = forwarder
        self._searches = searches
        self._directory = directory
        self._admission = admission

    async def answer(self, method: str, path: str, send: asgi.Send) -> None:
        """`path` is what follows the prefix."""
        if method not in ("GET", "HEAD"):
            await faults.bad_request(send, f"{method} is not allowed here")
        elif path == "health/live":
            await _json(send, 200, {"status": "live"})
        elif path == "health/ready":
            await self._ready(send)
        elif path == "stats":
            await _json(send, 200, self._stats())
        else:
            await faults.not_found(send, f"there is no /_rerank/{path}")

    async def _ready(self, send: asgi.Send) -> None:
        """Ready is who can answer searches, reranked or not: without workers the engine's order still goes out."""
        engine = await self._engine_answers()
        await _json(
            send,
            200 if engine else 503,
            {
                "status": "ready" if engine else "unavailable",
                "engine": engine,
                "redis": self._directory.answers,
                "workers": len(self._directory.workers()),
            },
        )

    async def _engine_answers(self) -> bool:
        """Any HTTP answer counts, 401 too: the proxy has no credentials of its own."""
        request = Request(method="HEAD", target=b"/", headers=[], repeatable=True)
        try:
            answer = await self._forwarder.open(request, Body(0))
        except EngineUnavailable:
            return False
        answer.close()
        return True

    def _stats(self) -> dict[str, Any]:
        now = time.monotonic()
        nodes = [
            {"node": node.authority.decode(), "up": node.down_until <= now, "failures": node.failures}
            for node in self._forwarder.nodes.nodes
        ]
        return {
            "pid": os.getpid(),
            **self._searches.serving.stats.snapshot(),
            "under_way": self._searches.under_way,
            "refused_forms": len(self._searches.serving.decider.refusals),
            "open_circuits": [fingerprint[:12] for fingerprint in self._admission.open_circuits()],
            "redis": self._directory.answers,
            "workers": [_shown(worker) for worker in self._directory.workers()],
            "nodes": nodes,
        }


def _shown(worker: Heartbeat) -> dict[str, Any]:
    """What operators need of a worker; where it runs is nobody's business who can search."""
    return {name: value for name, value in asdict(worker).items() if name not in ("id", "host", "pid")}


async def _json(send: asgi.Send, status: int, value: Mapping[str, Any]) -> None:
    body = json.dumps(value, separators=(",", ":")).encode()
    await asgi.respond(send, status, [(b"content-type", b"application/json")], body)
