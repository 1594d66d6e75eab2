"""The way of every request that is no eligible search: streamed to the engine, and its answer streamed back."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from connector.contract.errors import EngineUnavailable
from connector.proxy import asgi, faults
from connector.proxy import headers as http
from connector.proxy.forward import Body, ClientGone, Forwarder, Request
from connector.proxy.protocol import EXTENSION, GONE, TARGET

__all__ = ["body_of", "pass_through", "request_of"]

log = logging.getLogger(__name__)

#: POST requests that only read: these may be repeated on another node.
_READING = (b"/_search", b"/_msearch", b"/_count", b"/_search/template", b"/_msearch/template")


def request_of(scope: asgi.Scope) -> Request:
    """The request as it goes to the engine."""
    extensions = scope["extensions"][EXTENSION]
    target: bytes = extensions[TARGET]
    method: str = scope["method"]
    return Request(
        method=method,
        target=target,
        headers=scope["headers"],
        repeatable=method in ("GET", "HEAD") or (method == "POST" and target.partition(b"?")[0].endswith(_READING)),
        http_version="1.0" if scope["http_version"] == "1.0" else "1.1",
        gone=extensions[GONE],
    )


async def pass_through(
    forwarder: Forwarder,
    request: Request,
    body: Body,
    send: asgi.Send,
    *,
    extra_headers: Iterable[tuple[bytes, bytes]] = (),
) -> int | None:
    """Answers `request` with what the engine says, plus `extra_headers`; returns its status, None for a lost client."""
    try:
        answer = await forwarder.open(request, body)
    except ClientGone:
        return None
    except EngineUnavailable as exc:
        log.warning("engine_unavailable", extra={"reason": str(exc)})
        await faults.unavailable(send, str(exc))
        return 503
    try:
        headers = [*answer.headers, *extra_headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        more = True
        while more:
            data, more = await answer.read()
            await send({"type": "http.response.body", "body": data, "more_body": more})
            if more and request.gone():
                return None
    except EngineUnavailable as exc:
        # The status is out: leaving the response unfinished is the one way left to tell the client.
        log.warning("engine_broke_off", extra={"reason": str(exc)})
    finally:
        answer.close()
    return answer.status


def body_of(scope: asgi.Scope, receive: asgi.Receive) -> Body:
    """The body that the client sends, unread."""
    length = http.framing(scope["headers"])
    return Body(length, receive if length != 0 else None)
