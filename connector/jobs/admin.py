"""Jobs over HTTP, off by default, on a listener of its own: a bearer token, inputs inline or from allowed places.

Who reaches the listener must not read this machine's files, nor have it fetch or write addresses of their choice:
paths, outputs and write-back are not taken here at all, URLs only under the prefixes that the operator named.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import redis
from aiohttp import web

from connector.contract.errors import ConfigurationError, InputError, RerankBridgeError
from connector.jobs import control, files, openapi
from connector.jobs.control import Control
from connector.jobs.spec import Spec
from connector.jobs.state import UnknownJob
from connector.settings import Fusion

__all__ = ["Asked", "application", "is_allowed", "read_address"]

#: Bytes of a request: what is larger comes from an allowed place.
MAX_BODY = 64 << 20
_MIN_TOKEN = 16
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Asked(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /jobs`: `input` (JSON lines, or objects) or `source` (a URL), and what a spec says."""

    id: str | None = None
    form: str
    input: str | list[dict[str, Any]] | None = None
    source: str | None = None
    corpus: str | None = None
    queries: str | None = None
    index: str | None = None
    mode: str = "bm25"
    fields: tuple[str, ...] = ()
    model: str = "default"
    passages: str = "truncate"
    window: int | None = None
    fusion: str = Fusion().method
    output_form: str = "jsonl"
    texts: bool = False
    skip_bad: bool = False
    rate: float | None = None
    max_in_flight: int | None = None
    chunk_tokens: int = 32_768
    attempts: int = 5


def read_address(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`.

    Raises:
        ConfigurationError: it is something else.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(f"--admin-listen {listen}: HOST:PORT, as in 127.0.0.1:9301")
    return host.strip("[]"), int(port)


def application(jobs: Control, *, token: str, allowed: Sequence[str], home: Path) -> web.Application:
    """The listener's application.

    Args:
        allowed: prefixes of URLs that inputs may be read from.
        home: where inline inputs are kept, until their jobs are purged.

    Raises:
        ConfigurationError: the token is too short to be one.
    """
    if len(token) < _MIN_TOKEN:
        raise ConfigurationError(f"RERANK_BRIDGE_ADMIN_TOKEN: at least {_MIN_TOKEN} random characters")
    admin = _Admin(jobs, allowed, home)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_told, _guard(token)])
    app.router.add_get("/openapi.json", admin.document)
    app.router.add_get("/backlog", admin.backlog)
    app.router.add_post("/jobs", admin.submit)
    app.router.add_get("/jobs", admin.list)
    app.router.add_get("/jobs/{id}", admin.status)
    app.router.add_delete("/jobs/{id}", admin.delete)
    app.router.add_get("/jobs/{id}/results", admin.results)
    return app


def is_allowed(where: str, allowed: Sequence[str]) -> bool:
    """Whether a URL lies under one of the prefixes. A prefix ends at a `/`; no path goes up, in whatever spelling."""
    if not files.is_url(where) or where.lower().startswith(("file:", "local:")) or "::" in where:
        return False
    plain = unquote(unquote(where))
    if "\\" in plain or "@" in plain or any(part in ("..", ".") for part in plain.split("/")):
        return False
    return any(where.startswith(prefix.rstrip("/") + "/") for prefix in allowed if files.is_url(prefix))


class _Admin:
    def __init__(self, jobs: Control, allowed: Sequence[str], home: Path) -> None:
        self._jobs, self._allowed, self._inline = jobs, tuple(allowed), home / control.INLINE

    async def document(self, _request: web.Request) -> web.StreamResponse:
        """The OpenAPI document."""
        return web.json_response(openapi.document())

    async def backlog(self, _request: web.Request) -> web.StreamResponse:
        """What an autoscaler goes by."""
        return web.json_response({"chunks": await self._jobs.backlog()})

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Queues a job."""
        try:
            asked = msgspec.json.decode(await request.read(), type=Asked)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise ConfigurationError(f"the request's body: {exc}") from exc
        if asked.output_form not in ("jsonl", "trec", "cache"):
            raise ConfigurationError("output_form: jsonl, trec or cache")
        if (asked.input is None) == (asked.source is None):
            raise ConfigurationError("one of `input` and `source`")
        for where in (asked.source, asked.corpus, asked.queries):
            if where is not None and not is_allowed(where, self._allowed):
                raise ConfigurationError("an input's address is not under a prefix that is allowed here")
        source = asked.source or await asyncio.to_thread(self._keep, asked.input)
        said = msgspec.to_builtins(asked)
        del said["input"]
        spec = msgspec.convert(said | {"id": asked.id or f"http-{secrets.token_hex(8)}", "source": source}, Spec)
        submitted = await self._jobs.submit(spec)
        status = 201 if submitted.outcome == "new" else 200
        answer = {"id": submitted.id, "outcome": submitted.outcome}
        return web.json_response(answer, status=status, headers={"Location": f"/jobs/{submitted.id}"})

    async def list(self, _request: web.Request) -> web.StreamResponse:
        """All jobs."""
        return web.json_response({"jobs": [_public(control.values(r, [])) for r in await self._jobs.records()]})

    async def status(self, request: web.Request) -> web.StreamResponse:
        """One job."""
        return web.json_response(_public(await self._jobs.describe(request.match_info["id"])))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Cancels a job that is under way; purges one that has ended."""
        job = request.match_info["id"]
        if await self._jobs.cancel(job):
            return web.json_response({"id": job, "outcome": "cancelled"})
        await self._jobs.purge(job)
        return web.json_response({"id": job, "outcome": "purged"})

    async def results(self, request: web.Request) -> web.StreamResponse:
        """The output, streamed."""
        job = request.match_info["id"]
        blocks = await self._jobs.results(job, partial=request.query.get("partial") in ("", "true", "1"))
        first = await asyncio.to_thread(next, blocks, b"")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        while first:
            await response.write(first)
            first = await asyncio.to_thread(next, blocks, b"")
        await response.write_eof()
        return response

    def _keep(self, given: str | Sequence[dict[str, Any]] | None) -> str:
        """Inline input as a file, called by its contents: the same input again is the same job's."""
        data = given.encode() if isinstance(given, str) else b"\n".join(map(msgspec.json.encode, given or ())) + b"\n"
        self._inline.mkdir(parents=True, exist_ok=True)
        path = self._inline / f"{blake2b(data, digest_size=16).hexdigest()}.jsonl"
        if not path.exists():
            partial = path.with_suffix(f".{secrets.token_hex(4)}")
            partial.write_bytes(data)
            partial.replace(path)
        return str(path)


def _public(known: dict[str, Any]) -> dict[str, Any]:
    """What a client may see: no path of this machine."""
    spec = {name: value for name, value in known["spec"].items() if name not in ("source", "output")}
    return known | {"spec": spec}


def _guard(token: str) -> Any:
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, expected):
            return web.json_response(
                {"error": "a bearer token is needed"}, status=401, headers={"WWW-Authenticate": "Bearer"}
            )
        return await handler(request)

    return guard


@web.middleware
async def _told(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Errors as JSON, in one line."""
    try:
        return await handler(request)
    except UnknownJob as exc:
        return web.json_response({"error": str(exc)}, status=404)
    except (ConfigurationError, InputError, msgspec.ValidationError) as exc:
        return web.json_response({"error": str(exc)}, status=400)
    except (RerankBridgeError, redis.RedisError) as exc:
        return web.json_response({"error": str(exc)}, status=503)
