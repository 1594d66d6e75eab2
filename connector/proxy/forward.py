"""Sends a request to the engine as the client sent it and streams the answer back.

Method, target, headers and body bytes pass unchanged; only hop-by-hop headers and Host are of this hop. A dead node is
passed over. A request that broke after bytes were sent is repeated once, and only if it reads: a repeated PUT or DELETE
would be answered with a false 409 or 404.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from connector.contract.errors import EngineUnavailable
from connector.proxy import asgi
from connector.proxy import headers as http
from connector.proxy.nodes import Node, Nodes
from connector.proxy.upstream import Connection, Head, Lost

__all__ = ["Answer", "ClientGone", "Forwarder", "Request"]

#: Seconds after which a silent engine makes us look whether the client is still there.
_PATIENCE = 0.25
#: Bytes of a request body kept for the one repetition.
_REPLAY = 1 << 20
#: Seconds that `Expect: 100-continue` holds the body back (RFC 9110, section 10.1.1: not for ever).
_CONTINUE = 1.0


class ClientGone(Exception):
    """The client closed its connection: nobody is left to answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What goes to the engine, but for the body."""

    method: str
    #: Path and query string as they stand in the request line.
    target: bytes
    #: As the client sent them, names in lower case.
    headers: http.Headers
    #: A repetition does no harm.
    repeatable: bool
    http_version: str = "1.1"
    #: Whether the client has left.
    gone: Callable[[], bool] = lambda: False


class Body:
    """A request's body on its way: bytes at hand, or a stream from the client that is kept while it is small."""

    def __init__(self, length: int | None, receive: asgi.Receive | None = None, data: bytes = b"") -> None:
        self.length = length
        self._receive = receive
        self._kept: list[bytes] | None = [data] if data else []
        self._ended = receive is None

    @property
    def replayable(self) -> bool:
        """Whether all that was read so far can be sent again."""
        return self._kept is not None

    async def send(self, head: bytes, connection: Connection, *, head_only: bool, expect: bool) -> None:
        """Writes head and body; stops where the node has answered already.

        Raises:
            ClientGone: the client left before its body was complete.
        """
        if expect:
            connection.begin(head, head_only=head_only)
            await _continued(connection)
            if connection.head is not None:
                return
            connection.write(await self._first() + self._last())
        else:
            connection.begin(head + await self._first() + self._last(), head_only=head_only)
        while not self._ended and connection.head is None and not connection.closed:
            await connection.drain()
            connection.write(self._frame(await self._next()) + self._last())

    async def _first(self) -> bytes:
        kept = self._frame(b"".join(self._kept or ()))
        return kept if self._ended else kept + self._frame(await self._next())

    async def _next(self) -> bytes:
        assert self._receive is not None
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._ended = not message.get("more_body", False)
        data: bytes = message.get("body", b"")
        if self._kept is not None:
            self._kept.append(data)
            if sum(map(len, self._kept)) > _REPLAY:
                self._kept = None
        return data

    def _frame(self, data: bytes) -> bytes:
        if self.length is not None or not data:
            return data
        return b"%x\r\n%b\r\n" % (len(data), data)

    def _last(self) -> bytes:
        return b"0\r\n\r\n" if self._ended and self.length is None else b""


class Answer:
    """A response that has begun."""

    def __init__(self, node: Node, connection: Connection, head: Head) -> None:
        self.status = head.status
        self.headers = http.end_to_end(head.headers)
        self._node = node
        self._connection = connection

    async def read(self) -> tuple[bytes, bool]:
        """The next bytes of the body and whether more follow.

        Raises:
            Lost: the connection broke before the end.
        """
        data = await self._connection.read()
        return data, not self._connection.complete

    async def body(self) -> bytes:
        """All that is left of the body.

        Raises:
            Lost: the connection broke before the end.
        """
        parts = []
        more = True
        while more:
            data, more = await self.read()
            parts.append(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Ends the exchange; a connection with an unfinished answer is dropped, and the engine stops working on it."""
        self._node.release(self._connection)


class Forwarder:
    """Speaks to the engine's nodes."""

    def __init__(self, nodes: Nodes, *, add_credentials: bool = False) -> None:
        self.nodes = nodes
        self._add_credentials = add_credentials

    async def open(self, request: Request, body: Body) -> Answer:
        """Sends the request to a node that answers. The caller closes the answer.

        Raises:
            EngineUnavailable: no node takes a connection, or it broke and the request may not be repeated.
            ClientGone: the client left first.
        """
        nodes = deque(self.nodes.order())
        repeated = False
        last: EngineUnavailable | None = None
        while nodes:
            node = nodes.popleft()
            try:
                connection = await node.acquire(fresh=repeated)
            except EngineUnavailable as exc:
                last = exc
                continue
            try:
                head = await self._exchange(node, connection, request, body)
            except Lost as exc:
                connection.close()
                if connection.wrote and (repeated or not (request.repeatable and body.replayable)):
                    raise
                last, repeated = exc, repeated or connection.wrote
                nodes.append(node)
            except BaseException:
                connection.close()
                raise
            else:
                return Answer(node, connection, head)
        raise last or EngineUnavailable

    async def _exchange(self, node: Node, connection: Connection, request: Request, body: Body) -> Head:
        await body.send(
            self._head(node, request, body),
            connection,
            head_only=request.method == "HEAD",
            expect=body.length != 0 and http.first(request.headers, b"expect") is not None,
        )
        while (answered := await connection.started(_PATIENCE)) is None:
            if request.gone():
                raise ClientGone
        return answered

    def _head(self, node: Node, request: Request, body: Body) -> bytes:
        lines = [
            b"%b %b%b HTTP/%b"
            % (request.method.encode(), node.url.prefix, request.target, request.http_version.encode()),
            b"host: " + node.authority,
        ]
        authorised = False
        for name, value in http.end_to_end(request.headers):
            if name == b"host":
                continue
            authorised = authorised or name == b"authorization"
            lines.append(name + b": " + value)
        if body.length is None:
            lines.append(b"transfer-encoding: chunked")
        if self._add_credentials and node.url.credentials and not authorised:
            lines.append(b"authorization: " + node.url.credentials)
        return b"\r\n".join(lines) + b"\r\n\r\n"


async def _continued(connection: Connection) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CONTINUE):
            await connection.continued()
