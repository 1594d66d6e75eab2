"""Elasticsearch 7.17, 8.x and 9.x, over the elasticsearch client's transport.

The client package itself is not imported: it pulls in pyarrow and numpy wherever they are installed, and its typed
methods parse what must stay bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from elastic_transport import AiohttpHttpNode, AsyncTransport, NodeConfig

from connector.engines import base, http
from connector.engines.address import Address

__all__ = ["Elasticsearch"]

#: `knn` beside the query in `_search`; before, the exact search by script is the only one in `_search`.
_KNN_SINCE = (8, 4)
#: `compatible-with=N` media types.
_COMPATIBILITY_SINCE = 8
#: What the engine allows for `num_candidates`, and the least that gives HNSW a fair choice.
_MAX_CANDIDATES = 10_000
_MIN_CANDIDATES = 100


class Elasticsearch(base.HttpEngine):
    """The adapter for Elasticsearch: media types of the server's own major version, `knn` beside the query."""

    name: ClassVar[base.Name] = "elasticsearch"

    def __init__(self, address: Address, version: tuple[int, ...]) -> None:
        super().__init__(address, version)
        node = NodeConfig(
            scheme=address.scheme,
            host=address.host,
            port=address.port,
            path_prefix=address.prefix,
            ssl_context=address.ssl_context(),
            _extras={"_address": address},
        )
        self._transport = AsyncTransport([node], node_class=_Node, meta_header=False)

    def knn_body(
        self, field: str, vector: Sequence[float], *, k: int, size: int, source: object = True
    ) -> dict[str, Any]:
        """See `Engine.knn_body`. Before 8.4 the nearest are found by an exact scan of all documents with the field."""
        body: dict[str, Any] = {"size": size, "_source": source}
        if self.version >= _KNN_SINCE:
            candidates = min(max(2 * k, _MIN_CANDIDATES), _MAX_CANDIDATES)
            body["knn"] = {"field": field, "query_vector": list(vector), "k": k, "num_candidates": candidates}
        else:
            # The script's score may not be negative; cosine + 1 lies in [0, 2].
            body["size"] = min(size, k)
            script = {
                "source": "cosineSimilarity(params.vector, params.field) + 1.0",
                "params": {"vector": list(vector), "field": field},
            }
            body["query"] = {"script_score": {"query": {"exists": {"field": field}}, "script": script}}
        return body

    async def close(self) -> None:
        """See `Engine.close`."""
        await self._transport.close()

    def _media_type(self, plain: str) -> str:
        major = self.version[0]
        if major < _COMPATIBILITY_SINCE or not plain.startswith("application/"):
            return plain
        return f"application/vnd.elasticsearch+{plain.removeprefix('application/')};compatible-with={major}"

    async def _exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float,  # noqa: ASYNC109
    ) -> base.EngineResponse:
        # Beneath the transport's retries and parsing.
        node = cast("_Node", self._transport.node_pool.get())
        return await node.exchange(method, target, headers=headers, body=body, timeout=timeout)


class _Node(AiohttpHttpNode):
    """The client's connection, handing over an exchange as it was: repeated headers too."""

    async def exchange(self, method: str, target: str, **request: Any) -> base.EngineResponse:
        if self.session is None:
            self.session = http.session(self._ssl_context)
        return await http.exchange(self.session, self.config._extras["_address"], method, target, **request)
