"""What an engine is to the rest of the connector, and the part of it that both adapters share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol
from urllib.parse import quote, urlencode

from connector.contract.errors import EngineRefused
from connector.engines import reasons
from connector.engines.address import Address

__all__ = ["TIMEOUT", "Engine", "EngineResponse", "HttpEngine", "Name"]

Name = Literal["elasticsearch", "opensearch"]

#: Seconds that a request may take when its caller does not say.
TIMEOUT = 30.0
#: Characters of an index expression that need no escape: wildcards, lists, other clusters, exclusions.
_INDEX_SAFE = "*,:-_.+"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineResponse:
    """What the engine answered, any status.

    `headers` come in the engine's order, repeated ones included, without those that frame the connection
    (Content-Length, Content-Encoding, Transfer-Encoding, Connection, Keep-Alive): `body` is whole and uncompressed.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Engine(Protocol):
    """A search engine that was asked what it is."""

    @property
    def name(self) -> Name:
        """Which of the two it is."""

    @property
    def version(self) -> tuple[int, ...]:
        """As the server reports it: (9, 5, 3)."""

    @property
    def url(self) -> str:
        """Its address, without credentials."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] = {},
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,  # noqa: ASYNC109  as below
    ) -> EngineResponse:
        """Sends one request, once, and hands over the answer whatever its status.

        `path` is percent-encoded and begins with "/". `headers` go before the adapter's own Accept, Content-Type and
        Authorization. `timeout` in seconds, `TIMEOUT` when None.

        Raises:
            EngineUnavailable: no answer.
        """

    async def search(self, index: str, body: bytes, params: Sequence[tuple[str, str]] = ()) -> EngineResponse:
        """Searches `index` (name, list, pattern or alias; "" is all).

        Raises:
            EngineUnavailable: no answer.
            EngineRefused: an answer that is not 2xx, with the engine's reason.
        """

    def knn_body(
        self, field: str, vector: Sequence[float], *, k: int, size: int, source: object = True
    ) -> dict[str, Any]:
        """A whole `_search` body for the `size` best of the `k` documents nearest to `vector` in `field`.

        `source` stands under `_source`.
        """

    def refused(self, what: str, response: EngineResponse) -> EngineRefused:
        """The error for `response` being a no to `what` was asked for, with the engine's reason in one line."""

    async def close(self) -> None:
        """Closes the connections; the engine cannot be used after."""


class HttpEngine(ABC):
    """Requests, searches and refusals, alike on both engines. An adapter adds the connection and what differs."""

    name: ClassVar[Name]

    def __init__(self, address: Address, version: tuple[int, ...]) -> None:
        self.version = version
        self._address = address

    def __repr__(self) -> str:
        return f"<{self.name} {'.'.join(map(str, self.version))} at {self.url}>"

    @property
    def url(self) -> str:
        """See `Engine.url`."""
        return self._address.url

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] = {},
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,  # noqa: ASYNC109  handed down to aiohttp, which bounds connect and read as well
    ) -> EngineResponse:
        """See `Engine.request`."""
        sent = {"accept": self._media_type("application/json")}
        if body is not None:
            sent["content-type"] = self._media_type(content_type)
        if self._address.authorization:
            sent["authorization"] = self._address.authorization
        sent.update((name.lower(), value) for name, value in headers.items())
        target = f"{path}?{urlencode(params, quote_via=quote)}" if params else path
        return await self._exchange(method, target, sent, body, TIMEOUT if timeout is None else timeout)

    async def search(self, index: str, body: bytes, params: Sequence[tuple[str, str]] = ()) -> EngineResponse:
        """See `Engine.search`."""
        path = f"/{quote(index, safe=_INDEX_SAFE)}/_search" if index else "/_search"
        response = await self.request("POST", path, params=params, body=body)
        if not 200 <= response.status < 300:
            raise self.refused(f"search of {index or 'every index'}", response)
        return response

    def refused(self, what: str, response: EngineResponse) -> EngineRefused:
        """See `Engine.refused`."""
        return reasons.refused(what, self._address, status=response.status, body=response.body)

    @abstractmethod
    def knn_body(
        self, field: str, vector: Sequence[float], *, k: int, size: int, source: object = True
    ) -> dict[str, Any]:
        """See `Engine.knn_body`."""

    @abstractmethod
    async def close(self) -> None:
        """See `Engine.close`."""

    @abstractmethod
    def _media_type(self, plain: str) -> str:
        """How this version wants `plain` ("application/json", "application/x-ndjson") to be called."""

    @abstractmethod
    async def _exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float,  # noqa: ASYNC109
    ) -> EngineResponse:
        """Sends one request over the client library's connection."""
