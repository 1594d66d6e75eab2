"""The ASGI application: what is asked for decides who answers."""

from __future__ import annotations

import logging

from connector.proxy import asgi, faults
from connector.proxy.forward import Forwarder
from connector.proxy.health import Health
from connector.proxy.nodes import Nodes, NodeUrl
from connector.proxy.options import ServeOptions
from connector.proxy.pass_through import body_of, pass_through, request_of
from connector.proxy.protocol import EXTENSION, REFUSED

__all__ = ["Proxy"]

log = logging.getLogger(__name__)

#: No path of an engine begins so: index names may not begin with an underscore, and no API has this name.
OWN_PREFIX = "/_rerank/"


class Proxy:
    """One process's proxy. Its parts that need the event loop begin and end with ASGI's lifespan."""

    def __init__(self, options: ServeOptions) -> None:
        self._forwarder = Forwarder(
            Nodes([NodeUrl.parse(url) for url in options.engine_urls], ca_file=options.ca_file),
            add_credentials=options.add_credentials,
        )
        self._health = Health(self._forwarder)

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if refused := scope["extensions"][EXTENSION][REFUSED]:
            await faults.bad_request(send, refused)
            return
        path: str = scope["path"]
        if path.startswith(OWN_PREFIX):
            await self._health.answer(scope["method"], path.removeprefix(OWN_PREFIX), send)
            return
        await pass_through(self._forwarder, request_of(scope), body_of(scope, receive), send)

    async def _lifespan(self, receive: asgi.Receive, send: asgi.Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self._forwarder.nodes.close()
                await send({"type": "lifespan.shutdown.complete"})
                return
