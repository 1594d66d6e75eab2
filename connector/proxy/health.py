"""`/_rerank/health/live`, `/_rerank/health/ready` and `/_rerank/stats`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from connector.contract.errors import EngineUnavailable
from connector.proxy import asgi, faults
from connector.proxy.forward import Body, Forwarder, Request

__all__ = ["Health"]


class Health:
    """Answers what a load balancer and an operator ask."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder

    async def answer(self, method: str, path: str, send: asgi.Send) -> None:
        """`path` is what follows the prefix."""
        if method not in ("GET", "HEAD"):
            await faults.bad_request(send, f"{method} is not allowed here")
        elif path == "health/live":
            await _json(send, 200, {"status": "live"})
        elif path == "health/ready":
            ready = await self._engine_answers()
            await _json(send, 200 if ready else 503, {"status": "ready" if ready else "no engine node answers"})
        else:
            await faults.not_found(send, f"there is no /_rerank/{path}")

    async def _engine_answers(self) -> bool:
        """Any HTTP answer counts, 401 too: the proxy has no credentials of its own."""
        try:
            answer = await self._forwarder.open(
                Request(method="HEAD", target=b"/", headers=[], repeatable=True), Body(0)
            )
        except EngineUnavailable:
            return False
        answer.close()
        return True


async def _json(send: asgi.Send, status: int, value: Mapping[str, Any]) -> None:
    body = json.dumps(value, separators=(",", ":")).encode()
    await asgi.respond(send, status, [(b"content-type", b"application/json")], body)
