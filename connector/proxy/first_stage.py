"""The first stage of a search that came over HTTP: sent to the engine with the client's own headers."""

from __future__ import annotations

import zlib
from dataclasses import replace
from urllib.parse import quote, urlencode

from connector.engines.base import EngineResponse
from connector.proxy import headers as http
from connector.proxy.forward import Body, Forwarder, Request
from connector.query import SearchRequest

__all__ = ["TooLarge", "fetch", "rewritten"]

#: What described the client's own body, or the form in which it wanted the answer.
_OF_THE_BODY = frozenset({b"content-length", b"content-encoding", b"content-md5", b"accept-encoding", b"expect"})
#: What described the engine's body before it was taken apart.
_OF_THE_ANSWER = frozenset({b"content-length", b"content-encoding"})
_OURS = b"x-rerank"


class TooLarge(Exception):
    """The engine's answer is larger than what we take apart."""


def rewritten(request: Request, search: SearchRequest) -> tuple[Request, Body]:
    """`search` in the place of what the client sent: its path, its headers, our parameters and body."""
    path = request.target.partition(b"?")[0]
    query = urlencode(search.params, quote_via=quote).encode()
    headers = [
        header for header in request.headers if header[0] not in _OF_THE_BODY and not header[0].startswith(_OURS)
    ]
    if search.body:
        headers.append((b"content-length", b"%d" % len(search.body)))
        if http.first(headers, b"content-type") is None:
            headers.append((b"content-type", b"application/json"))
    target = path + b"?" + query if query else path
    sent = replace(request, target=target, headers=headers, http_version="1.1", repeatable=True)
    return sent, Body(len(search.body), data=search.body)


async def fetch(forwarder: Forwarder, request: Request, body: Body, *, limit: int) -> EngineResponse:
    """Sends `request` and takes the whole answer, uncompressed.

    Raises:
        TooLarge: it has more than `limit` bytes.
        EngineUnavailable: no answer.
        ClientGone: nobody waits for it any more.
    """
    answer = await forwarder.open(request, body)
    try:
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            data, more = await answer.read()
            parts.append(data)
            size += len(data)
            if size > limit:
                raise TooLarge
    finally:
        answer.close()
    content = _identity(b"".join(parts), answer.headers, limit)
    kept = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in answer.headers
        if name not in _OF_THE_ANSWER
    )
    return EngineResponse(status=answer.status, headers=kept, body=content)


def _identity(body: bytes, headers: http.Headers, limit: int) -> bytes:
    """A gateway in between may compress unasked."""
    encoding = http.first(headers, b"content-encoding")
    if encoding is None or encoding.strip().lower() not in (b"gzip", b"x-gzip"):
        return body
    unpacker = zlib.decompressobj(wbits=31)
    try:
        content = unpacker.decompress(body, limit)
    except zlib.error:
        return body
    if not unpacker.eof:
        raise TooLarge
    return content
