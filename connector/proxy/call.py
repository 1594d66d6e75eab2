"""One searching request under way, and what the process has to answer it with."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connector.engines.base import EngineResponse
from connector.proxy import asgi, first_stage, incoming, telling
from connector.proxy import headers as http
from connector.proxy.deciding import Decider
from connector.proxy.forward import Body, Forwarder, Request
from connector.proxy.incoming import Raw, Target, Unreadable
from connector.proxy.options import Limits
from connector.proxy.pass_through import pass_through
from connector.proxy.stats import Stats
from connector.proxy.telling import Told
from connector.query import SearchRequest, options
from connector.rerank import Reranker

__all__ = ["Call", "Serving"]

log = logging.getLogger(__name__)

#: What stands in an Accept header that JSON satisfies.
_READABLE = (b"json", b"*/*", b"application/*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request and the way back to its client."""

    target: Target
    request: Request
    raw: Raw
    send: asgi.Send
    #: Set where options of ours have to be taken out of what is sent to the engine, which would refuse them.
    stripped: SearchRequest | None = None

    def search(self, limit: int) -> SearchRequest:
        """The search that the request is; of an `_msearch` the whole body.

        Raises:
            Unreadable: it is in a form, or of a size, that is not looked into.
        """
        if self.raw.rest is not None:
            raise Unreadable(f"the request's body has more than {limit} bytes")
        kind = http.first(self.request.headers, b"content-type")
        if self.raw.data and (kind is None or b"json" not in kind.lower()):
            raise Unreadable("the request's body is no JSON")
        accepted = http.first(self.request.headers, b"accept")
        if accepted is not None and not any(form in accepted.lower() for form in _READABLE):
            raise Unreadable("the answer is asked for in another form than JSON")
        body = incoming.decoded(self.raw.data, self.request.headers, limit)
        return SearchRequest(index=self.target.index, params=incoming.parameters(self.request.target), body=body)

    def without_options(self, search: SearchRequest) -> Call:
        """The call whose `untouched` leaves options of ours out, should `search` have any."""
        stripped = options.strip(search)
        return self if stripped is search else replace(self, stripped=stripped)

    def untouched(self) -> tuple[Request, Body]:
        """The client's own request, on its way."""
        if self.stripped is not None:
            return first_stage.rewritten(self.request, self.stripped)
        return self.request, self.raw.body()


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What answers searches in this process."""

    forwarder: Forwarder
    reranker: Reranker
    decider: Decider
    limits: Limits
    log_queries: bool = False
    stats: Stats = field(default_factory=Stats)

    async def untouched(self, call: Call, told: Told) -> int | None:
        """Streams the client's own request to the engine, and the answer back; its status, None for a lost client."""
        request, body = call.untouched()
        return await self.through(request, body, call.send, told, call.target.index)

    async def through(self, request: Request, body: Body, send: asgi.Send, told: Told, index: str) -> int | None:
        """The same, for what was not looked into."""
        status = await pass_through(self.forwarder, request, body, send, extra_headers=told.headers())
        self.stats.told(told.status)
        telling.log_search(told, request.headers, index, {"http_status": status})
        return status

    async def respond(self, call: Call, response: EngineResponse, told: Told, extra: Mapping[str, Any]) -> None:
        """Sends an answer that was taken apart."""
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        await asgi.respond(call.send, response.status, [*headers, *told.headers()], response.body)
        index = call.target.index
        telling.log_search(told, call.request.headers, index, {"http_status": response.status, **extra})

    def defect(self, call: Call, exc: Exception) -> Told:
        """A defect of ours costs the reranking, never the answer."""
        log.error("search_failed", exc_info=exc, extra={"index": call.target.index})
        return Told("error", f"a defect of rerank-bridge: {type(exc).__name__}")
