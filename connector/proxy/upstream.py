"""One connection to an engine node: writes a request's bytes, reads the response as it comes.

The parser is httptools' (llhttp). Bodies are handed on in the pieces in which they arrive, never decoded.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import cast

import httptools

from connector.contract.errors import EngineUnavailable
from connector.proxy.headers import Headers

__all__ = ["Connection", "Head", "Lost"]

#: Bytes of a response that may wait for a slow client before reading pauses.
_HIGH_WATER = 1 << 20
_MAX_HEAD = 1 << 18


class Lost(EngineUnavailable):
    """The connection broke before the response was complete."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Status line and headers of a response, names in lower case."""

    status: int
    headers: Headers


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection, for one exchange at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._paused = False
        self.closed = False
        self.idle_since = 0.0
        self._reset(head_only=False)

    def _reset(self, *, head_only: bool) -> None:
        self._headers: Headers = []
        self._parts: list[bytes] = []
        self._unread = 0
        self._head_only = head_only
        self._error: str | None = None
        self.head: Head | None = None
        self._interim = False
        self.complete = False
        self.keep_alive = False
        #: Whether a byte of this exchange was written, or read.
        self.wrote = False
        self.heard = False

    # The exchange

    def begin(self, request: bytes, *, head_only: bool) -> None:
        """Starts an exchange with the request's head, and its body where that is at hand."""
        self._reset(head_only=head_only)
        self.write(request)

    def write(self, data: bytes) -> None:
        """Writes a piece of the request."""
        if not self.closed:
            self.wrote = True
            self.transport.write(data)

    async def drain(self) -> None:
        """Waits until the node takes more, or has answered, or is gone."""
        if self._writable is not None and not self.closed and self.head is None:
            await self._writable

    async def started(self, patience: float) -> Head | None:
        """The response's head; None where it has not come after `patience` seconds.

        Raises:
            Lost: the connection broke first, or what came is no HTTP.
        """
        if self.head is None:
            self._check()
            loop = asyncio.get_running_loop()
            # A timer of our own: this is on the way of every request, and asyncio.timeout costs five times as much.
            impatience = loop.call_later(patience, self._wake)
            try:
                await self._wait()
            finally:
                impatience.cancel()
            if self.head is None:
                self._check()
        return self.head

    async def continued(self) -> None:
        """Returns when the node says 100 to an expectation, or answers right away.

        Raises:
            Lost: the connection broke first.
        """
        while self.head is None and not self._interim:
            self._check()
            await self._wait()

    async def read(self) -> bytes:
        """The next bytes of the body; empty at its end.

        Raises:
            Lost: the connection broke before the end.
        """
        while not self._parts:
            if self.complete:
                return b""
            self._check()
            await self._wait()
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        self._unread = 0
        if self._paused and not self.closed:
            self._paused = False
            self.transport.resume_reading()
        return data

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow on this connection."""
        return self.complete and self.keep_alive and not self.closed and not self._unread

    def close(self) -> None:
        """Drops the connection: the node stops working on what it was asked."""
        if not self.closed:
            self.closed = True
            self.transport.abort()

    def _check(self) -> None:
        if self._error is not None or self.closed:
            raise Lost(self._error or "the engine closed the connection before it answered")

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._let_write()

    def _let_write(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Turns on TCP keep-alive: a long search has no timeout of ours, a vanished host must still be noticed."""
        # uvloop's transports are no subclass of asyncio.Transport, but they keep to it.
        self.transport = cast("asyncio.Transport", transport)
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Parses what came and wakes the reader once."""
        self.heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            if not self.complete:
                self._error = f"the engine's answer is no HTTP: {exc}"
            self.close()
        if self._unread > _HIGH_WATER and not self._paused and not self.closed:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends a body that lasts until the connection closes; anything else unfinished is lost."""
        self.closed = True
        if self.head is not None and not self.complete and self._until_close() and exc is None:
            self.complete = True
        self._wake()

    def pause_writing(self) -> None:
        """The node takes the request more slowly than the client sends it."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """The node caught up."""
        self._let_write()
        self._writable = None

    def _until_close(self) -> bool:
        return not any(name in (b"content-length", b"transfer-encoding") for name, _ in self._headers)

    # httptools' callbacks

    def on_message_begin(self) -> None:
        """A response begins, an interim one perhaps."""
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is known. A HEAD request's answer ends here, whatever length it announces."""
        status = self._parser.get_status_code()
        if status < 200:
            self._interim = True
            return
        self.head = Head(status=status, headers=self._headers)
        self.keep_alive = self._parser.should_keep_alive()
        if self._head_only:
            self.complete = True
            self._parser = httptools.HttpResponseParser(self)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self._head_only:
            self._parts.append(body)
            self._unread += len(body)

    def on_message_complete(self) -> None:
        """The response is whole."""
        if self.head is not None:
            self.complete = True
