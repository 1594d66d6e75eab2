"""What an index itself says and a search does not: its text fields, and the pipeline it is searched through.

Asked of the engine with the client's own credentials, kept for a minute.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from connector import schema
from connector.contract.errors import EngineUnavailable
from connector.proxy import first_stage
from connector.proxy import headers as http
from connector.proxy.forward import Body, Forwarder, Request
from connector.query import blockers

__all__ = ["Facts"]

log = logging.getLogger(__name__)

_LIFETIME = 60.0
_CAPACITY = 2_000
_LIMIT = 64 << 20
#: Of the client's headers, those that say who asks.
_IDENTITY = frozenset({b"authorization", b"cookie", b"es-security-runas-user", b"es-secondary-authorization"})
_SETTING = "index.search.default_pipeline"

T = TypeVar("T")


class Facts:
    """Facts by index expression or pipeline name. What cannot be read counts as nothing known."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._kept: OrderedDict[tuple[str, str], tuple[float, Any]] = OrderedDict()

    async def text_fields(self, index: str, client: http.Headers) -> tuple[str, ...]:
        """The text fields of the index's mapping."""

        async def ask() -> tuple[str, ...]:
            body = await self._get(f"/{_quoted(index)}/_mapping", client)
            return schema.read(body).text if body else ()

        return await self._once("text_fields", index, ask)

    async def pipeline_reranks(self, name: str | None, index: str, client: http.Headers) -> bool:
        """Whether the OpenSearch pipeline `name`, or the index's default one, reranks or cuts the hits."""

        async def ask() -> bool:
            body = await self._get(f"/_search/pipeline/{quote(name or '', safe='')}", client)
            found = msgspec.json.decode(body) if body else {}
            return any(blockers.pipeline_reranks(definition) for definition in found.values())

        if name is None:
            defaults = await self._default_pipelines(index, client)
            return any([await self.pipeline_reranks(default, index, client) for default in defaults])
        return name != "_none" and await self._once("pipeline", name, ask)

    async def _default_pipelines(self, index: str, client: http.Headers) -> tuple[str, ...]:
        async def ask() -> tuple[str, ...]:
            path = f"/{_quoted(index)}/_settings/{_SETTING}?flat_settings=true"
            body = await self._get(path, client)
            indices = msgspec.json.decode(body).values() if body else ()
            return tuple({one["settings"][_SETTING] for one in indices if _SETTING in one.get("settings", {})})

        return await self._once("default_pipelines", index, ask)

    async def _once(self, kind: str, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        now = time.monotonic()
        kept = self._kept.get((kind, name))
        if kept is not None and now < kept[0]:
            value: T = kept[1]
            return value
        value = await ask()
        self._kept[kind, name] = (now + _LIFETIME, value)
        self._kept.move_to_end((kind, name))
        if len(self._kept) > _CAPACITY:
            self._kept.popitem(last=False)
        return value

    async def _get(self, path: str, client: http.Headers) -> bytes | None:
        headers = [header for header in client if header[0] in _IDENTITY]
        request = Request(method="GET", target=path.encode(), headers=headers, repeatable=True)
        try:
            response = await first_stage.fetch(self._forwarder, request, Body(0), limit=_LIMIT)
        except (EngineUnavailable, first_stage.TooLarge) as exc:
            log.warning("index_unread", extra={"fields": {"path": path, "reason": str(exc)}})
            return None
        return response.body if response.status == 200 else None


def _quoted(index: str) -> str:
    return quote(index or "_all", safe="*,:-_.+")
