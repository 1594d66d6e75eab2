"""A search as it comes in over HTTP: which index, which parameters, which body. Reading the body is bounded."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote

from connector.proxy import asgi
from connector.proxy import headers as http
from connector.proxy.forward import Body, ClientGone

__all__ = ["Raw", "Target", "Unreadable", "decoded", "parameters", "read", "target_of"]


class Unreadable(Exception):
    """The request is left to the engine; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a searching path asks for."""

    api: Literal["_search", "_msearch"]
    #: The index expression, decoded; empty for all.
    index: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Raw:
    """A body as it was sent, whole or, where it is too long, its beginning with the rest still to come."""

    data: bytes
    length: int | None
    rest: asgi.Receive | None = None

    def body(self) -> Body:
        """The same body on its way to the engine."""
        return Body(self.length, self.rest, self.data)


def target_of(method: str, target: bytes) -> Target | None:
    """The search that method and target ask for; None where it is something else."""
    if method not in ("GET", "POST"):
        return None
    path = target.partition(b"?")[0]
    if not path.endswith((b"/_search", b"/_msearch")):
        return None
    parts = path.split(b"/")[1:]
    if len(parts) > 2:
        return None
    api = parts[-1]
    index = unquote(parts[0].decode("latin-1"), errors="replace") if len(parts) == 2 else ""
    if len(parts) == 2 and (not index or (index.startswith("_") and index != "_all")):
        return None
    return Target(api="_search" if api == b"_search" else "_msearch", index=index)


def parameters(target: bytes) -> tuple[tuple[str, str], ...]:
    """The parameters of the query string, decoded.

    Raises:
        Unreadable: it is not what a URL library makes; Elasticsearch, for one, splits at semicolons too.
    """
    query = target.partition(b"?")[2]
    if b";" in query or b"#" in query:
        raise Unreadable("the query string holds a bare ; or #")
    try:
        return tuple(parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict"))
    except ValueError as exc:
        raise Unreadable("the query string is not UTF-8") from exc


async def read(scope: asgi.Scope, receive: asgi.Receive, limit: int) -> Raw:
    """The body, up to `limit` bytes; what is longer comes back unfinished.

    Raises:
        ClientGone: the client left before its body was complete.
    """
    length = http.framing(scope["headers"])
    if length == 0:
        return Raw(data=b"", length=0)
    if length is not None and length > limit:
        return Raw(data=b"", length=length, rest=receive)
    parts: list[bytes] = []
    size = 0
    while size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body", False):
            return Raw(data=b"".join(parts), length=length)
    return Raw(data=b"".join(parts), length=length, rest=receive)


def decoded(data: bytes, headers: Sequence[tuple[bytes, bytes]], limit: int) -> bytes:
    """The body without its Content-Encoding.

    Raises:
        Unreadable: an encoding other than gzip, broken gzip, or more than `limit` bytes of content.
    """
    encoding = (http.first(headers, b"content-encoding") or b"identity").strip().lower()
    if encoding in (b"identity", b""):
        return data
    if encoding not in (b"gzip", b"x-gzip"):
        raise Unreadable(f"a body in {encoding.decode('latin-1')} is not looked into")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        content = unpacker.decompress(data, limit)
    except zlib.error as exc:
        raise Unreadable("the body is no gzip") from exc
    if not unpacker.eof or unpacker.unused_data:
        raise Unreadable(f"the body holds more than {limit} bytes, or more than one gzip stream")
    return content
