"""Where searches come in: which are looked into at all, how many at once, and whether one or several are asked for."""

from __future__ import annotations

from connector.proxy import asgi, incoming, msearch, search
from connector.proxy.call import Call, Serving
from connector.proxy.forward import ClientGone
from connector.proxy.incoming import Target
from connector.proxy.pass_through import body_of, request_of
from connector.proxy.telling import Told

__all__ = ["Searches"]


class Searches:
    """Answers the searches of one process."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.under_way = 0

    async def answer(self, target: Target, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Answers one `_search` or `_msearch`."""
        request = request_of(scope)
        # The searches of an `_msearch` name their own indices.
        told = self.serving.decider.left_alone(target.index) if target.api == "_search" else None
        if told is None and self.under_way >= self.serving.limits.concurrency:
            told = Told("shed", f"{self.under_way} searches are being reranked already")
        if told is not None:
            await self.serving.through(request, body_of(scope, receive), send, told, target.index)
            return
        self.under_way += 1
        try:
            raw = await incoming.read(scope, receive, self.serving.limits.body)
            call = Call(target=target, request=request, raw=raw, send=send)
            await (search if target.api == "_search" else msearch).answer(self.serving, call)
        except ClientGone:
            return
        finally:
            self.under_way -= 1
