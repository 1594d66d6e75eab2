"""Hard negatives from a running engine: its BM25 and its kNN, of both engines."""

import json
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from connector.contract.errors import ConfigurationError, EngineRefused, EngineUnavailable
from workers.training import engine

DOCUMENTS = {
    "d1": {"title": "Bread", "body": {"text": "is baked in an oven"}, "vector": [1.0, 0.0]},
    "d2": {"title": "Cake", "body": {"text": ["is baked", "with sugar"]}, "vector": [0.9, 0.1]},
    "d3": {"title": "Rain", "body": {"text": "falls on roofs"}, "vector": [0.0, 1.0]},
    "d4": {"title": "", "vector": [1.0, 0.0]},
}
FIELDS = ("title", "body.text")
VECTORS = {
    "elasticsearch": {"type": "dense_vector", "dims": 2, "similarity": "cosine"},
    "opensearch": {
        "type": "knn_vector",
        "dimension": 2,
        "method": {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"},
    },
}


def call(url: str, method: str, body: object | None, kind: str = "application/json") -> Any:
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data, headers={"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


@pytest.fixture(scope="module", params=["elasticsearch", "opensearch"])
def target(request: pytest.FixtureRequest) -> Iterator[engine.Target]:
    running = request.getfixturevalue(request.param)
    index = "training-negatives"
    mapping = {"properties": {"title": {"type": "text"}, "vector": VECTORS[request.param]}}
    settings = {"index": {"knn": True}} if request.param == "opensearch" else {}
    call(f"{running.url}/{index}", "PUT", {"settings": settings, "mappings": mapping})
    lines = [line for name, source in DOCUMENTS.items() for line in ({"index": {"_id": name}}, source)]
    bulk = "".join(json.dumps(line) + "\n" for line in lines).encode()
    assert not call(f"{running.url}/{index}/_bulk?refresh=true", "POST", bulk, "application/x-ndjson")["errors"]
    yield engine.Target(url=running.url, index=index, fields=FIELDS)
    call(f"{running.url}/{index}", "DELETE", None)


def embed(texts: Sequence[str]) -> list[list[float]]:
    return [[1.0, 0.05] if "bake" in text else [0.05, 1.0] for text in texts]


def test_bm25_gives_ids_and_the_texts_of_the_named_fields_best_first(target: engine.Target) -> None:
    found = engine.BM25(engine.Engine(target)).top(["baked sugar", "rain", "nothing"], 2)
    assert [[(item.id, item.text) for item in run] for run in found] == [
        [("d2", "Cake is baked with sugar"), ("d1", "Bread is baked in an oven")],
        [("d3", "Rain falls on roofs")],
        [],
    ]


def test_knn_gives_the_nearest_documents_and_leaves_out_those_without_text(target: engine.Target) -> None:
    found = engine.KNN(engine.Engine(target), "vector", embed).top(["how to bake", "weather"], 3)
    assert [[item.id for item in run] for run in found] == [["d1", "d2"], ["d3", "d2", "d1"]]


def test_more_queries_than_one_request_holds_come_back_in_order(target: engine.Target) -> None:
    queries = ["rain", "oven"] * 40
    found = engine.BM25(engine.Engine(target)).top(queries, 1)
    assert [run[0].id for run in found] == ["d3", "d1"] * 40


def test_an_index_that_is_not_there_is_named(target: engine.Target) -> None:
    missing = engine.Target(url=target.url, index="training-nowhere", fields=FIELDS)
    with pytest.raises(EngineRefused, match="training-nowhere"):
        engine.BM25(engine.Engine(missing)).top(["rain"], 1)


def test_an_engine_that_is_not_there_is_named() -> None:
    with pytest.raises(EngineUnavailable, match=r"http://127\.0\.0\.1:9/x does not answer"):
        engine.Engine(engine.Target(url="http://127.0.0.1:9", index="x"))


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="begins with http"):
        engine.Engine(engine.Target(url="localhost:9200", index="x"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:many", "http://127.0.0.1:70000"])
def test_a_port_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the port is no number"):
        engine.Engine(engine.Target(url=url, index="x"))
