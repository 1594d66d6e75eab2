"""The engine's nodes: round robin over those that answer, a pool of idle connections for each.

A node that refuses a connection is left out for a second, then for twice as long each time, and tried again.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from connector.contract.errors import ConfigurationError, EngineUnavailable
from connector.proxy.upstream import Connection

__all__ = ["Node", "NodeUrl", "Nodes"]

#: Seconds to open a connection, TLS included.
CONNECT_TIMEOUT = 3.0
#: Seconds that an idle connection is trusted: load balancers in between close theirs silently after a minute.
IDLE_LIFETIME = 30.0
#: Seconds that a dead node is left out, at first and at most.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
#: Bytes of a request that may wait for a slow node before the client has to wait too.
_WRITE_BUFFER = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeUrl:
    """Where a node is."""

    host: str
    port: int
    tls: bool
    #: Put before each path: engines behind a gateway may live under one. Never ends in a slash.
    prefix: bytes
    #: `Basic …` of the URL's user information.
    credentials: bytes | None

    @classmethod
    def parse(cls, url: str) -> NodeUrl:
        """Reads `http[s]://[user:password@]host[:port][/prefix]`.

        Raises:
            ConfigurationError: anything else.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as exc:
            raise ConfigurationError(f"the engine's address cannot be read: {exc}") from exc
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigurationError(f"{parts.scheme}://{parts.hostname}: an engine's address is http[s]://host:port")
        credentials = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            credentials = b"Basic " + base64.b64encode(pair.encode())
        return cls(
            host=parts.hostname,
            port=port or (443 if parts.scheme == "https" else 9200),
            tls=parts.scheme == "https",
            prefix=parts.path.rstrip("/").encode(),
            credentials=credentials,
        )

    @property
    def authority(self) -> bytes:
        """The value of Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode()


class Node:
    """One node, its idle connections and whether it is taken for dead."""

    def __init__(self, url: NodeUrl, tls: ssl.SSLContext | None) -> None:
        self.url = url
        self.authority = url.authority
        self._tls = tls
        self._idle: list[Connection] = []
        self._pause = FIRST_PAUSE
        self.down_until = 0.0
        self.failures = 0

    async def acquire(self, *, fresh: bool = False) -> Connection:
        """An idle connection, or a new one.

        Raises:
            EngineUnavailable: it cannot be opened; the node is left out for a while.
        """
        trusted = time.monotonic() - IDLE_LIFETIME
        while self._idle and not fresh:
            connection = self._idle.pop()
            if not connection.closed and connection.idle_since > trusted:
                return connection
            connection.close()
        return await self._open()

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                transport, connection = await loop.create_connection(
                    Connection,
                    self.url.host,
                    self.url.port,
                    ssl=self._tls,
                    server_hostname=self.url.host if self._tls else None,
                )
        except (OSError, TimeoutError) as exc:
            self.failed()
            reason = str(exc) or f"no connection within {CONNECT_TIMEOUT:.0f} s"
            raise EngineUnavailable(f"{self.authority.decode()} does not answer: {reason}") from exc
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self.down_until = 0.0
        self._pause = FIRST_PAUSE
        return connection

    def release(self, connection: Connection) -> None:
        """Takes a connection back: to the idle ones when its exchange is over, else it is closed."""
        if connection.reusable:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.close()

    def failed(self) -> None:
        """Leaves the node out for a while; its idle connections are of a process that is gone."""
        self.failures += 1
        self.down_until = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self.close()

    def close(self) -> None:
        """Closes the idle connections."""
        while self._idle:
            self._idle.pop().close()


class Nodes:
    """All nodes of one engine."""

    def __init__(self, urls: Sequence[NodeUrl], *, ca_file: Path | None = None) -> None:
        tls = ssl.create_default_context(cafile=ca_file) if any(url.tls for url in urls) else None
        self.nodes = [Node(url, tls if url.tls else None) for url in urls]
        self._turn = 0

    def order(self) -> list[Node]:
        """The nodes to try for one request: the next living ones in turn, then the dead ones, soonest back first."""
        if len(self.nodes) == 1:
            return self.nodes
        self._turn = (self._turn + 1) % len(self.nodes)
        now = time.monotonic()
        turned = self.nodes[self._turn :] + self.nodes[: self._turn]
        dead = sorted((node for node in turned if node.down_until > now), key=lambda node: node.down_until)
        return [node for node in turned if node.down_until <= now] + dead

    def close(self) -> None:
        """Closes every idle connection."""
        for node in self.nodes:
            node.close()
