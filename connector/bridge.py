"""Reranked searches in two lines of Python, for programs that want no proxy in between.

    bridge = Bridge.from_url("https://engine:9200")
    response = await bridge.search(index="docs", body={"query": …}, rerank={"window": 100})
    response = bridge.search_sync(index="docs", body={"query": …})     # the same, where nothing is asynchronous

The body and the answer are the engine's own. Everything runs on one background event loop, so that a bridge serves
threads and event loops alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from connector import engines, policies, schema, scoring
from connector.contract.errors import EngineError
from connector.engines.base import Engine, EngineResponse
from connector.query import Plan, SearchRequest, plan
from connector.rerank import Outcome, Reranker
from connector.settings import Policy, Settings

__all__ = ["Bridge", "Response"]

T = TypeVar("T")


class Response(dict[str, Any]):
    """The engine's response as a dictionary, and what became of its reranking."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(json.loads(outcome.response.body))
        #: Status, reason, model, timings; `outcome.response.body` are the response's bytes.
        self.outcome = outcome

    @property
    def status(self) -> str:
        """`applied`, or why not (see `connector.rerank.Status`)."""
        return self.outcome.status


class Bridge:
    """An engine and the workers behind it. Connects at the first search; `close` ends it."""

    def __init__(self, settings: Settings, *, policy: Policy | None = None) -> None:
        self._settings = settings
        self._policy = policy or Policy()
        self._loop = _Loop()
        self._running = contextlib.AsyncExitStack()
        self._connected: asyncio.Task[tuple[Engine, Reranker]] | None = None
        self._text_fields: dict[str, tuple[str, ...]] = {}

    @classmethod
    def from_url(cls, url: str, *, policy: Policy | None = None, environment: Mapping[str, str] = os.environ) -> Self:
        """A bridge to the engine at `url`; Redis, hash key and the like from RERANK_BRIDGE_* variables.

        Raises:
            ConfigurationError: a variable's value cannot be used.
        """
        return cls(Settings.from_environment({**environment, "RERANK_BRIDGE_ENGINE_URL": url}), policy=policy)

    async def search(
        self,
        *,
        index: str,
        body: Mapping[str, Any],
        rerank: Mapping[str, Any] | bool = True,
        params: Mapping[str, str] | None = None,
    ) -> Response:
        """Searches `index` and reranks.

        Args:
            body: as the engine's `_search` takes it.
            rerank: keys of the policy to change for this search (`{"window": 100}`), or whether to rerank at all.
            params: URL parameters, as the engine's `_search` takes them.

        Raises:
            ConfigurationError: a key or value of `rerank` that cannot be used.
            EngineError: no answer, or a refusal.
            ScoringError: only under a strict policy.
        """
        return await asyncio.wrap_future(self._submit(index, body, rerank, params))

    def search_sync(
        self,
        *,
        index: str,
        body: Mapping[str, Any],
        rerank: Mapping[str, Any] | bool = True,
        params: Mapping[str, str] | None = None,
    ) -> Response:
        """`search`, for programs without an event loop. Call it from any thread."""
        return self._submit(index, body, rerank, params).result()

    def close(self) -> None:
        """Ends connections and the background loop. Searches under way are given up."""
        self._loop.stop(self._running.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _submit(
        self,
        index: str,
        body: Mapping[str, Any],
        rerank: Mapping[str, Any] | bool,
        params: Mapping[str, str] | None,
    ) -> Future[Response]:
        changes = {"mode": "on" if rerank else "off"} if isinstance(rerank, bool) else rerank
        policy = policies.changed(self._policy, changes)
        request = SearchRequest(index=index, params=tuple((params or {}).items()), body=msgspec.json.encode(body))
        return self._loop.submit(self._search(request, policy))

    async def _search(self, request: SearchRequest, policy: Policy) -> Response:
        engine, reranker = await self._connection()
        planned = plan(request, policy)
        fields: tuple[str, ...] = ()
        if isinstance(planned, Plan) and not planned.fields:
            fields = await self._fields(engine, request.index)
        outcome = await reranker.search(request, policy, functools.partial(_first_stage, engine), text_fields=fields)
        return Response(outcome)

    async def _connection(self) -> tuple[Engine, Reranker]:
        if self._connected is None or (self._connected.done() and self._connected.exception()):
            self._connected = asyncio.create_task(self._connect())
        return await asyncio.shield(self._connected)

    async def _connect(self) -> tuple[Engine, Reranker]:
        settings = self._settings
        engine = await engines.connect(settings.engine_url, ca_file=settings.ca_file, api_key=settings.api_key)
        self._running.push_async_callback(engine.close)
        scorer = await self._running.enter_async_context(scoring.connect(settings.urls, settings.hasher))
        return engine, Reranker(scorer)

    async def _fields(self, engine: Engine, index: str) -> tuple[str, ...]:
        if index not in self._text_fields:
            try:
                self._text_fields[index] = (await schema.of_index(engine, index)).text
            except EngineError:
                # Whoever may search need not be allowed to read mappings.
                return ()
        return self._text_fields[index]


async def _first_stage(engine: Engine, request: SearchRequest) -> EngineResponse:
    return await engine.search(request.index, request.body, request.params)


class _Loop:
    """An event loop in a thread of its own, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Runs `work` there."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="rerank-bridge", daemon=True)
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self, last: Any) -> None:
        """Cancels what runs, runs `last`, and ends the thread."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_ended(last), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _ended(last: Any) -> None:
    await last()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
