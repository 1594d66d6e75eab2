"""uvicorn's HTTP protocol with what a proxy needs besides: the target as it was sent, and limits on the head."""

from __future__ import annotations

import asyncio

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


class ProxyProtocol(HttpToolsProtocol):
    """One client connection."""

    _heading = True
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Lets a whole page of results into the write buffer."""
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        super().connection_made(transport)

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
