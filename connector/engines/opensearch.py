"""OpenSearch 1.3, 2.x and 3.x, over opensearch-py's client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from opensearchpy import AIOHttpConnection, AsyncOpenSearch, AsyncTransport

from connector.engines import base, http
from connector.engines.address import Address

__all__ = ["OpenSearch"]


class OpenSearch(base.HttpEngine):
    """The adapter for OpenSearch: plain JSON media types, `knn` as a query."""

    name: ClassVar[base.Name] = "opensearch"

    def __init__(self, address: Address, version: tuple[int, ...]) -> None:
        super().__init__(address, version)
        self._client = AsyncOpenSearch(
            hosts=[{"host": address.host, "port": address.port, "url_prefix": address.prefix}],
            transport_class=_Transport,
            connection_class=_Connection,
            use_ssl=address.scheme == "https",
            ssl_context=address.ssl_context(),
            address=address,
        )

    def knn_body(
        self, field: str, vector: Sequence[float], *, k: int, size: int, source: object = True
    ) -> dict[str, Any]:
        """See `Engine.knn_body`. The k-NN plugin takes the `k` nearest of every shard; `size` cuts the merged list."""
        return {"size": size, "_source": source, "query": {"knn": {field: {"vector": list(vector), "k": k}}}}

    async def close(self) -> None:
        """See `Engine.close`."""
        await self._client.close()

    def _media_type(self, plain: str) -> str:
        return plain

    async def _exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float,  # noqa: ASYNC109
    ) -> base.EngineResponse:
        transport = cast("_Transport", self._client.transport)
        return await transport.exchange(method, target, headers=headers, body=body, timeout=timeout)


class _Transport(AsyncTransport):
    """The client's transport with a way beneath its retries, its parsing and its status errors."""

    async def exchange(self, method: str, target: str, **request: Any) -> base.EngineResponse:
        await self._async_call()
        response: base.EngineResponse = await self.get_connection().exchange(method, target, **request)
        return response


class _Connection(AIOHttpConnection):
    """The client's connection, handing over an exchange as it was."""

    def __init__(self, *, address: Address, **options: Any) -> None:
        super().__init__(**options)
        self._address = address

    async def exchange(self, method: str, target: str, **request: Any) -> base.EngineResponse:
        if self.session is None:
            # The library's own session is bound to ten connections and to options that aiohttp has deprecated.
            self.session = http.session(self._ssl_context)
        return await http.exchange(self.session, self._address, method, target, **request)
