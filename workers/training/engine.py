"""Candidates of a running Elasticsearch or OpenSearch: its BM25 and, where vectors are indexed, its kNN."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from connector.contract.errors import ConfigurationError, EngineRefused, EngineUnavailable
from workers.training.retrieval import Candidate

__all__ = ["BM25", "KNN", "Embed", "Engine", "Target"]

#: Texts → vectors of the model that the index was filled with.
Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]

#: Queries in one _msearch: few round trips, and no reply of hundreds of megabytes.
_BATCH = 32
_TIMEOUT = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where the engine is and what to read of its documents."""

    #: http:// or https://, with user:password@ where the site needs it.
    url: str
    index: str
    #: Joined with a space they are the text of a document, in this order.
    fields: tuple[str, ...] = ("title", "text")
    api_key: str | None = None
    ca_file: Path | None = None


class Engine:
    """A small blocking client: `GET /` once, then `_msearch`.

    Raises:
        ConfigurationError: an address that is no http:// or https:// address.
        EngineUnavailable: no answer.
        EngineRefused: it answered no.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._url = urlsplit(target.url)
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ConfigurationError("--engine-url: an engine's address begins with http:// or https:// and has a host")
        self._port = _port(self._url)
        try:
            version = json.loads(self._request("GET", "/", None))["version"]
            self.is_opensearch = version.get("distribution") == "opensearch"
        except (ValueError, LookupError, AttributeError, TypeError) as exc:
            raise EngineRefused(f"{self._where()}: answers, but not as a search engine does", status=200) from exc

    def search(self, bodies: Sequence[Mapping[str, Any]]) -> Iterator[list[Candidate]]:
        """The hits of each search body, in order; documents without text are left out."""
        for start in range(0, len(bodies), _BATCH):
            batch = bodies[start : start + _BATCH]
            lines = [line for body in batch for line in ("{}", json.dumps({**body, "_source": self.target.fields}))]
            path = f"/{quote(self.target.index, safe=',*')}/_msearch"
            answer = json.loads(self._request("POST", path, "\n".join([*lines, ""]).encode()))
            for part in answer["responses"]:
                if "error" in part:
                    reason = _reason(part)
                    raise EngineRefused(f"{self._where()}: {reason}", status=part.get("status", 400))
                yield [found for hit in part["hits"]["hits"] if (found := self._candidate(hit)) is not None]

    def _candidate(self, hit: Mapping[str, Any]) -> Candidate | None:
        values = [_lookup(hit.get("_source") or {}, field) for field in self.target.fields]
        text = " ".join(value for value in values if value)
        return Candidate(id=hit["_id"], text=text) if text else None

    def _request(self, method: str, path: str, body: bytes | None) -> bytes:
        connection = self._connection()
        try:
            connection.request(method, self._url.path.rstrip("/") + path, body=body, headers=self._headers())
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as exc:
            raise EngineUnavailable(f"{self._where()} does not answer: {exc}") from exc
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            reason = content[:300].decode(errors="replace")
            raise EngineRefused(f"{self._where()}: {reason}", status=response.status, body=content)
        return content

    def _connection(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, self._port, timeout=_TIMEOUT)
        context = ssl.create_default_context(cafile=self.target.ca_file)
        return http.client.HTTPSConnection(host, self._port, timeout=_TIMEOUT, context=context)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/x-ndjson", "Accept": "application/json"}
        if self.target.api_key:
            headers["Authorization"] = f"ApiKey {self.target.api_key}"
        elif self._url.username:
            login = f"{unquote(self._url.username)}:{unquote(self._url.password or '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        return headers

    def _where(self) -> str:
        return f"{self._url.scheme}://{self._url.hostname}:{self._port}/{self.target.index}"


class BM25:
    """The engine's full-text search over the target's fields."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def top(self, queries: Sequence[str], depth: int) -> list[list[Candidate]]:
        """The best `depth` documents for each query, best first."""
        fields = list(self._engine.target.fields)
        bodies = [
            {"size": depth, "query": {"multi_match": {"query": query, "fields": fields, "type": "most_fields"}}}
            for query in queries
        ]
        return list(self._engine.search(bodies))


class KNN:
    """The engine's vector search over one field."""

    def __init__(self, engine: Engine, field: str, embed: Embed) -> None:
        self._engine = engine
        self._field = field
        self._embed = embed

    def top(self, queries: Sequence[str], depth: int) -> list[list[Candidate]]:
        """The `depth` nearest documents for each query, best first."""
        vectors = self._embed(queries) if queries else []
        return list(self._engine.search([self._body([float(x) for x in vector], depth) for vector in vectors]))

    def _body(self, vector: list[float], depth: int) -> dict[str, Any]:
        if self._engine.is_opensearch:
            return {"size": depth, "query": {"knn": {self._field: {"vector": vector, "k": depth}}}}
        knn = {"field": self._field, "query_vector": vector, "k": depth, "num_candidates": max(100, 2 * depth)}
        return {"size": depth, "knn": knn}


def _port(url: SplitResult) -> int:
    try:
        return url.port or {"http": 80, "https": 443}[url.scheme]
    except ValueError as exc:
        raise ConfigurationError("--engine-url: the port is no number from 0 to 65535") from exc


def _lookup(source: Mapping[str, Any], field: str) -> str:
    """The text of a field, whose name may be a path with dots; several values are joined."""
    value: object = source.get(field)
    if value is None and "." in field:
        head, _, rest = field.partition(".")
        inner = source.get(head)
        return _lookup(inner, rest) if isinstance(inner, dict) else ""
    values = value if isinstance(value, list) else [value]
    return " ".join(text.strip() for text in values if isinstance(text, str) and text.strip())


def _reason(part: Mapping[str, Any]) -> str:
    error = part["error"]
    return str(error.get("reason") or error) if isinstance(error, dict) else str(error)
