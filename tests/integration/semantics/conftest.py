"""A small collection on each real engine, and a site that searches it directly and reranked."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from connector import engines
from connector.contract import names
from connector.embedded.engine import RunningEngine
from connector.engines.base import Engine, EngineResponse
from connector.query import SearchRequest
from connector.rerank import Outcome, Reranker
from connector.scoring.base import Scored
from connector.settings import Fusion, Policy

DOCUMENTS = 40
#: What a site's searches are reranked by, unless a test says otherwise.
POLICY = Policy(window=20, scores="engine", min_hits=1, fusion=Fusion(method="none"))
TEXT = {"type": "text", "fields": {"english": {"type": "text"}, "raw": {"type": "keyword"}}}
VECTORS: dict[str, dict[str, Any]] = {
    "elasticsearch": {"type": "dense_vector", "dims": 3, "index": True, "similarity": "cosine"},
    "opensearch": {
        "type": "knn_vector",
        "dimension": 3,
        "method": {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"},
    },
}


def grade(text: str) -> float | None:
    """The score that a document's own text asks for."""
    found = re.search(r"grade (\d+)", text)
    return float(found[1]) if found else None


class Grader:
    """A scorer whose scores a test can read off the documents."""

    def __init__(self) -> None:
        self.documents: list[str] = []

    async def score(
        self,
        *,
        model: str,
        query: str,
        documents: Sequence[str],
        deadline: float,
        passages: str = "truncate",
        lane: names.Lane = names.INTERACTIVE,
    ) -> Scored:
        """See `connector.scoring.base.Scorer`."""
        self.documents = list(documents)
        return Scored(values=[grade(document) for document in documents], model=model)


@dataclass
class Site:
    """An index on an engine, searched directly and through the main path."""

    engine: Engine
    index: str
    grader: Grader = field(default_factory=Grader)
    #: What was sent to the engine for the last reranked search.
    sent: list[SearchRequest] = field(default_factory=list)

    async def direct(self, body: Any = None, index: str | None = None, **params: str) -> EngineResponse:
        """The engine's own answer."""
        return await self._search(self._request(body, index, params))

    async def reranked(
        self, body: Any = None, policy: Policy = POLICY, index: str | None = None, **params: str
    ) -> Outcome:
        """The answer of the main path."""
        self.sent.clear()

        async def first_stage(request: SearchRequest) -> EngineResponse:
            self.sent.append(request)
            return await self._search(request)

        return await Reranker(self.grader).search(self._request(body, index, params), policy, first_stage)

    async def put(self, path: str, body: Any, method: str = "PUT") -> dict[str, Any]:
        """Sends what is to be stored, and expects the engine to take it."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "application/x-ndjson" if path.endswith(("_bulk?refresh=true", "_msearch")) else "application/json"
        path, _, query = path.partition("?")
        params = [tuple(pair.split("=")) for pair in query.split("&") if pair]
        response = await self.engine.request(method, path, body=raw, content_type=kind, params=params)  # type: ignore[arg-type]
        assert response.status < 300, response.body
        found: dict[str, Any] = json.loads(response.body)
        return found

    def _request(self, body: Any, index: str | None, params: dict[str, str]) -> SearchRequest:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return SearchRequest(index=index or self.index, params=tuple(params.items()), body=raw)

    async def _search(self, request: SearchRequest) -> EngineResponse:
        return await self.engine.search(request.index, request.body, request.params)


def hits(response: EngineResponse) -> list[dict[str, Any]]:
    """The hits of a response."""
    found: list[dict[str, Any]] = json.loads(response.body)["hits"]["hits"]
    return found


def ids(response: EngineResponse) -> list[str]:
    """Their ids, in order."""
    return [hit["_id"] for hit in hits(response)]


def untimed(body: bytes) -> bytes:
    """A response, in whatever format, without its `took`."""
    return re.sub(rb"took\W+\d+", b"took", body, count=1)


def best_first(response: EngineResponse) -> list[str]:
    """The ids of a response in the order of their documents' grades."""
    return [hit["_id"] for hit in sorted(hits(response), key=lambda hit: -(grade(hit["_source"]["title"]) or 0))]


def document(number: int) -> dict[str, Any]:
    """One document of the collection. Its grade has nothing to do with its first-stage score."""
    marked = f"grade {number * 17 % DOCUMENTS}"
    return {
        "title": f"apple {'pie ' * (number % 5)}{marked}",
        "body": f"{'banana ' * (number % 7 + 1)}{marked}",
        "group": number % 4,
        "date": f"2024-01-{number % 28 + 1:02}",
        "comments": [{"text": f"cherry {'jam ' * (number % 3)}one"}, {"text": f"cherry two {marked}"}],
        "meta": {"note": f"date {marked}"},
        "v": [1.0, number / DOCUMENTS, 0.5],
    }


def mapping(engine: Engine) -> dict[str, Any]:
    """The collection's mapping."""
    properties = {
        "title": TEXT,
        "body": {"type": "text"},
        "group": {"type": "integer"},
        "date": {"type": "date"},
        "comments": {"type": "nested", "properties": {"text": {"type": "text"}}},
        "meta": {"properties": {"note": {"type": "text"}}},
        "v": VECTORS[engine.name],
    }
    settings: dict[str, Any] = {"number_of_shards": 1, "number_of_replicas": 0}
    if engine.name == "opensearch":
        settings["index.knn"] = True
    return {"settings": settings, "mappings": {"properties": properties}}


def new_name() -> str:
    """An index name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture(params=["elasticsearch", "opensearch"])
def running(request: pytest.FixtureRequest) -> RunningEngine:
    """Each of the two engines in turn."""
    server: RunningEngine = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def collections() -> dict[str, str]:
    """The collection's index on each engine that has it already, by the engine's URL; no test writes to it."""
    return {}


@pytest.fixture
async def empty(running: RunningEngine) -> AsyncIterator[Site]:
    """A site whose index does not exist yet."""
    engine = await engines.connect(running.url)
    yield Site(engine=engine, index=new_name())
    await engine.close()


@pytest.fixture
async def site(empty: Site, running: RunningEngine, collections: dict[str, str]) -> Site:
    """A site with the collection."""
    if running.url not in collections:
        await empty.put(f"/{empty.index}", mapping(empty.engine))
        lines = [line for n in range(DOCUMENTS) for line in ({"index": {"_id": str(n)}}, document(n))]
        bulk = "".join(json.dumps(line) + "\n" for line in lines).encode()
        assert not (await empty.put(f"/{empty.index}/_bulk?refresh=true", bulk, "POST"))["errors"]
        collections[running.url] = empty.index
    empty.index = collections[running.url]
    return empty
