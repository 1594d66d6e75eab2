"""uvicorn's HTTP protocol with what a proxy needs besides: the target as it was sent, and limits on the head."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["EXTENSION", "GONE", "REFUSED", "TARGET", "ProxyProtocol"]

#: The scope's extension and its keys: path and query as sent (bytes), whether the client has left (a callable), and
#: why the target is refused (a sentence, empty where it is fine).
EXTENSION = "rerank_bridge"
TARGET = "target"
GONE = "gone"
REFUSED = "refused"

#: Bytes of an unfinished request line and headers. The engines' own limits are far below, and theirs are the answer.
_MAX_HEAD = 256 * 1024
#: Bytes of a response that may wait for a slow client before the engine has to wait too.
_WRITE_BUFFER = 1 << 20


class Cork:
    """A transport that sends a response's head together with the body's first bytes, where these are at hand.

    uvicorn writes them one after the other, which costs a system call here and a wake-up at the client.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Holds a head until the next write, or until the event loop's next turn."""
        if self._held:
            data, self._held = self._held + data, b""
        elif data.startswith(b"HTTP/1.1 "):
            self._held = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Sends what is held, and closes."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)


class ProxyProtocol(HttpToolsProtocol):
    """One client connection."""

    _heading = True
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Lets a whole page of results into the write buffer."""
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        super().connection_made(cast("asyncio.Transport", Cork(transport, self.loop)))

    def data_received(self, data: bytes) -> None:
        """Ends a connection whose request line and headers never end."""
        super().data_received(data)
        if self._heading and self.parser is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD:
                self.send_400_response("The request's headers are too long.")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._heading = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Notes the target as it came: what uvicorn parses of it would make an absolute form look like a path."""
        self._heading = False
        target = self.url
        refused = _refusal(target)
        if refused:
            self.url = b"/"
        self.scope["extensions"] = {
            EXTENSION: {TARGET: target, GONE: self.transport.is_closing, REFUSED: refused},
        }
        super().on_headers_complete()


def _refusal(target: bytes) -> str:
    if target.startswith(b"//"):
        return "a request target that begins with // names another host"
    if not target.startswith(b"/"):
        return "a request target must be a path: this server is no forward proxy"
    return ""
