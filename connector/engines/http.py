"""One HTTP exchange with an engine over an aiohttp session: bytes in, bytes out, any status, every header."""

from __future__ import annotations

import io
import ssl
from collections.abc import Mapping

import aiohttp
import yarl

from connector.engines import reasons
from connector.engines.address import Address
from connector.engines.base import EngineResponse

__all__ = ["exchange", "session"]

#: Seconds for a connection to be taken: an engine that is there takes it at once.
_CONNECT = 5.0
#: Connections of one process to one engine.
_CONNECTIONS = 100
#: Bytes from which a body is sent in pieces.
_LARGE = 2**20
#: Headers of the connection, not of the answer: the body handed over is whole and uncompressed.
_FRAMING = frozenset({"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"})


def session(context: ssl.SSLContext | None) -> aiohttp.ClientSession:
    """A session that keeps no cookies and adds no header of its own but User-Agent."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS, ssl=True if context is None else context),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("accept", "accept-encoding"),
        headers={"user-agent": "rerank-bridge"},
    )


async def exchange(
    session: aiohttp.ClientSession,
    address: Address,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    timeout: float,  # noqa: ASYNC109  aiohttp bounds connect and read with it
) -> EngineResponse:
    """Sends one request, once, and reads the whole answer. No redirect is followed.

    Raises:
        EngineUnavailable: no answer, or none within `timeout` seconds.
    """
    limits = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, _CONNECT))
    url = yarl.URL(address.url + target, encoded=True)
    # Written in pieces a large body leaves the event loop time for others; aiohttp warns of bytes for that reason.
    data = io.BytesIO(body) if body and len(body) > _LARGE else body
    try:
        async with session.request(
            method, url, data=data, headers=headers, timeout=limits, allow_redirects=False
        ) as response:
            content = await response.read()
            kept = tuple((name, value) for name, value in response.headers.items() if name.lower() not in _FRAMING)
            return EngineResponse(status=response.status, headers=kept, body=content)
    except (aiohttp.ClientError, OSError) as exc:
        # TimeoutError is an OSError.
        raise reasons.unavailable(address, exc, timeout=timeout) from exc
