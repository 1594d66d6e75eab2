"""Answers of our own, in the engine's error shape, so that clients report them as they report the engine's."""

from __future__ import annotations

import json

from connector.proxy import asgi
from connector.proxy import headers as http

__all__ = ["bad_request", "not_found", "unavailable"]

_JSON = [(b"content-type", b"application/json")]


async def unavailable(send: asgi.Send, reason: str, headers: http.Headers | None = None) -> None:
    """503: no node of the engine answers, or scores that a strict policy insists on did not come."""
    await _respond(send, 503, "no_node_available_exception", reason, [*_JSON, *(headers or [])])


async def bad_request(send: asgi.Send, reason: str) -> None:
    """400, and the connection ends: what follows on it cannot be trusted either."""
    await _respond(send, 400, "illegal_argument_exception", reason, [*_JSON, (b"connection", b"close")])


async def not_found(send: asgi.Send, reason: str) -> None:
    """404: under our own prefix, where nothing else is."""
    await _respond(send, 404, "resource_not_found_exception", reason, _JSON)


async def _respond(send: asgi.Send, status: int, kind: str, reason: str, headers: list[tuple[bytes, bytes]]) -> None:
    cause = {"type": kind, "reason": f"[rerank-bridge] {reason}"}
    body = json.dumps({"error": {"root_cause": [cause], **cause}, "status": status}, separators=(",", ":"))
    await asgi.respond(send, status, headers, body.encode())
