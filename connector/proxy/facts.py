"""What an index itself says and a search does not: its text fields, and the pipeline it is searched through.

Asked of the engine with the client's own credentials, kept for a minute.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
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
_NONE: tuple[str, ...] = ()


class Facts:
    """Facts by index expression or pipeline name. What cannot be read counts as nothing known."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._kept: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    async def text_fields(self, index: str, client: http.Headers) -> tuple[str, ...]:
        """The text fields of the index's mapping."""
        return await self._once(f"/{_quoted(index)}/_mapping", client, lambda body: schema.read(body).text, _NONE)

    async def pipeline_reranks(self, name: str | None, index: str, client: http.Headers) -> bool:
        """Whether the OpenSearch pipeline `name`, or without one the index's default, reranks or cuts the hits."""
        if not await self._once("/", client, _is_opensearch, default=False):
            return False
        path = f"/{_quoted(index)}/_settings/{_SETTING}?flat_settings=true"
        names = (name,) if name else await self._once(path, client, _default_pipelines, _NONE)
        paths = [f"/_search/pipeline/{quote(one, safe='')}" for one in names if one != "_none"]
        return any([await self._once(path, client, _reranks, default=False) for path in paths])

    async def _once(self, path: str, client: http.Headers, read: Callable[[bytes], T], default: T) -> T:
        """What `read` makes of the answer to `path`; `default` where there is none, or it is not what it should be."""
        now = time.monotonic()
        kept = self._kept.get(path)
        if kept is not None and now < kept[0]:
            value: T = kept[1]
            return value
        value = await self._asked(path, client, read, default)
        self._kept[path] = (now + _LIFETIME, value)
        self._kept.move_to_end(path)
        if len(self._kept) > _CAPACITY:
            self._kept.popitem(last=False)
        return value

    async def _asked(self, path: str, client: http.Headers, read: Callable[[bytes], T], default: T) -> T:
        headers = [header for header in client if header[0] in _IDENTITY]
        request = Request(method="GET", target=path.encode(), headers=headers, repeatable=True)
        try:
            response = await first_stage.fetch(self._forwarder, request, Body(0), limit=_LIMIT)
            return read(response.body) if response.status == 200 else default
        except (
            EngineUnavailable,
            first_stage.TooLarge,
            msgspec.MsgspecError,
            AttributeError,
            KeyError,
            TypeError,
        ) as exc:
            log.warning("index_unread", extra={"path": path, "reason": repr(exc)})
            return default


def _is_opensearch(body: bytes) -> bool:
    return bool(msgspec.json.decode(body)["version"].get("distribution") == "opensearch")


def _default_pipelines(body: bytes) -> tuple[str, ...]:
    settings = [index["settings"] for index in msgspec.json.decode(body).values()]
    return tuple({one[_SETTING] for one in settings if _SETTING in one})


def _reranks(body: bytes) -> bool:
    return any(blockers.pipeline_reranks(definition) for definition in msgspec.json.decode(body).values())


def _quoted(index: str) -> str:
    return quote(index or "_all", safe="*,:-_.+")
