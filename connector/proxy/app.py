"""The ASGI application: what is asked for decides who answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal

from connector import policies, scoring
from connector.contract.errors import ConfigurationError
from connector.policies import Policies
from connector.proxy import asgi, faults, incoming
from connector.proxy.call import Serving
from connector.proxy.deciding import Decider
from connector.proxy.facts import Facts
from connector.proxy.forward import Forwarder
from connector.proxy.health import Health
from connector.proxy.nodes import Nodes, NodeUrl
from connector.proxy.options import ServeOptions
from connector.proxy.pass_through import body_of, pass_through, request_of
from connector.proxy.protocol import EXTENSION, REFUSED, TARGET
from connector.proxy.searches import Searches
from connector.rerank import Reranker
from connector.scoring.admission import Admission
from connector.settings import Settings

__all__ = ["Proxy"]

log = logging.getLogger(__name__)

#: No path of an engine begins so: index names may not begin with an underscore, and no API has this name.
OWN_PREFIX = "/_rerank/"


class Proxy:
    """One process's proxy. Its parts that need the event loop begin and end with ASGI's lifespan."""

    def __init__(self, options: ServeOptions) -> None:
        self._options = options
        self._settings = Settings.from_environment(options.environment)
        self._policies = _policies(options)
        self._admission = Admission()
        self._forwarder = Forwarder(
            Nodes([NodeUrl.parse(url) for url in options.engine_urls], ca_file=options.ca_file),
            add_credentials=options.add_credentials,
        )
        self._running = contextlib.AsyncExitStack()
        self._searches: Searches
        self._health: Health

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        extension = scope["extensions"][EXTENSION]
        if refused := extension[REFUSED]:
            await faults.bad_request(send, refused)
        elif (target := incoming.target_of(scope["method"], extension[TARGET])) is not None:
            await self._searches.answer(target, scope, receive, send)
        elif scope["path"].startswith(OWN_PREFIX):
            await self._health.answer(scope["method"], scope["path"].removeprefix(OWN_PREFIX), send)
        else:
            await pass_through(self._forwarder, request_of(scope), body_of(scope, receive), send)

    async def _lifespan(self, receive: asgi.Receive, send: asgi.Send) -> None:
        await receive()
        await self._start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._running.aclose()
        self._forwarder.nodes.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        scorer = await self._running.enter_async_context(
            scoring.connect(self._settings.urls, self._settings.hasher, admission=self._admission)
        )
        self._searches = Searches(
            Serving(
                forwarder=self._forwarder,
                reranker=Reranker(scorer),
                decider=Decider(self._policies, Facts(self._forwarder)),
                limits=self._options.limits,
                log_queries=self._options.log_queries,
            )
        )
        self._health = Health(self._forwarder, self._searches, scorer.directory, self._admission)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)

    def _reload(self) -> None:
        """Reads the policies anew; requests under way keep those that they began with."""
        try:
            self._searches.serving.decider.adopt(_policies(self._options))
        except ConfigurationError as exc:
            log.error("policies_refused", extra={"reason": str(exc), "kept": "those of before"})  # noqa: TRY400  the line says it all
        else:
            log.info("policies_loaded", extra={"file": str(self._options.policies)})


def _policies(options: ServeOptions) -> Policies:
    return policies.load(options.policies) if options.policies else Policies.everything()
