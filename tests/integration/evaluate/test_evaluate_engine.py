"""Evaluations on a real engine and broker, with a worker whose scores the test knows."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector import engines
from connector.contract.errors import ConfigurationError, InputError, ModelFailed, NoWorker
from connector.contract.wire import Reply
from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey
from connector.evaluate import experiment, subject
from connector.evaluate.request import Live, Request
from connector.evaluate.result import Result
from connector.settings import Fusion, Policy
from tests.fixtures.scripted import ScriptedWorker

#: BM25 finds every document with the word; the right one is the longest, which is what the worker likes.
ANIMALS = ("cat", "dog", "owl", "fox")
RIGHT = "{0} that is described here at some length, as everybody would want one to be"
WRONG = ("{0} {0} {0}", "{0} {0}", "{0} food")


class Quiet:
    """Notes the bars that an evaluation shows."""

    def __init__(self) -> None:
        self.bars: dict[str, int] = {}

    def step(self, text: str) -> None:
        """Nothing."""

    @contextlib.contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Keeps the last value."""
        yield lambda done: self.bars.__setitem__(name, done)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One right document an animal, and three that BM25 likes better; the text makes every test's index its own."""
    rows = [
        {"_id": f"{animal}-{n}", "title": "", "text": text.format(animal) + f" {uuid.uuid4().hex}"}
        for animal in ANIMALS
        for n, text in enumerate((RIGHT, *WRONG))
    ]
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps({"_id": a, "text": a}) + "\n" for a in ANIMALS))
    judged = "".join(f"{animal}\t{animal}-0\t1\n" for animal in ANIMALS)
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return tmp_path


@pytest.fixture
def worker(valkey: RunningValkey) -> Iterator[ScriptedWorker]:
    with ScriptedWorker(url=valkey.url, alias=uuid.uuid4().hex) as running:
        yield running


@pytest.fixture
def environment(elasticsearch: RunningEngine, valkey: RunningValkey) -> dict[str, str]:
    roles = {f"RERANK_BRIDGE_{role}_URL": valkey.url for role in ("BROKER", "STATE", "CACHE")}
    return {"RERANK_BRIDGE_ENGINE_URL": elasticsearch.url, **roles}


async def run(request: Request, environment: dict[str, str], narrator: Quiet | None = None) -> Result:
    return await experiment.run(request, subject.read(request), environment, narrator or Quiet())


def asked(data: Path | Live, alias: str, **changes: Any) -> Request:
    return replace(Request(data=data, policy=Policy(model=alias, window=20), windows=(2,)), **changes)


async def test_a_folder_is_indexed_searched_reranked_and_judged(
    folder: Path, worker: ScriptedWorker, environment: dict[str, str]
) -> None:
    result = await run(asked(folder, worker.alias), environment)
    assert result.means["first_stage"]["mrr@10"] == pytest.approx(1 / 4)
    assert result.means["reranked"]["mrr@10"] == result.means["default"]["ndcg@10"] == 1.0
    assert result.comparisons["default"]["ndcg@10"].wins == len(ANIMALS)
    assert result.runs["default"]["cat"][0] == "cat-0"
    assert result.sweep is not None
    assert result.sweep.best.setting.window == 20
    summary = result.summary()
    assert set(summary) >= {"data", "queries", "runs", "latency_ms", "model", "significance"}
    assert set(summary["runs"]) == {"first_stage", "reranked", "default"}
    assert all(set(run) == {"ndcg@10", "mrr@10", "map", "p@5", "recall@100"} for run in summary["runs"].values())
    assert summary["latency_ms"]["p50"] > 0
    assert summary["model"]["fingerprint"] == worker.fingerprint
    json.dumps(summary)


async def test_a_repeated_evaluation_indexes_nothing_scores_nothing_and_says_the_same(
    folder: Path, worker: ScriptedWorker, environment: dict[str, str]
) -> None:
    request, first, second = asked(folder, worker.alias), Quiet(), Quiet()
    before = await run(request, environment, first)
    sent = len(worker.requests)
    after = await run(request, environment, second)
    assert first.bars == {"Indexing": 16, "Queries": 4}
    assert second.bars == {"Queries": 4}
    assert (len(worker.requests), after.collected.cached) == (sent, before.collected.scored)
    assert after.means == before.means
    assert before.latency is not None
    assert before.latency.cold
    assert after.latency == before.latency


async def test_an_index_that_was_left_half_done_is_made_anew(
    folder: Path, worker: ScriptedWorker, environment: dict[str, str], elasticsearch: RunningEngine
) -> None:
    request = asked(folder, worker.alias)
    await run(request, environment)
    engine = await engines.connect(elasticsearch.url)
    try:
        mappings = json.loads((await engine.request("GET", "/rerank-bridge-eval-*/_mapping")).body)
        [index] = [n for n, m in mappings.items() if m["mappings"]["_meta"]["data"] == folder.name]
        await engine.request("PUT", f"/{index}/_mapping", body=b'{"_meta": {}}')
        await engine.request("DELETE", f"/{index}/_doc/cat-0", params=[("refresh", "true")])
    finally:
        await engine.close()
    assert (await run(request, environment)).means["default"]["ndcg@10"] == 1.0


async def test_what_the_first_stage_missed_stays_missed(
    folder: Path, worker: ScriptedWorker, environment: dict[str, str]
) -> None:
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("cat\tdog-0\t1\n")
    result = await run(asked(folder, worker.alias), environment)
    recall = [result.measured[name].by_query["recall@100"]["cat"] for name in ("first_stage", "default")]
    assert recall == [0.5, 0.5]


async def test_a_sample_asks_only_some_of_the_queries(
    folder: Path, worker: ScriptedWorker, environment: dict[str, str]
) -> None:
    result = await run(asked(folder, worker.alias, sample=2, seed=1), environment)
    assert len(result.collected.candidates) == len(result.topics.queries) == 2


async def test_the_default_run_follows_the_policy(
    folder: Path, worker: ScriptedWorker, environment: dict[str, str]
) -> None:
    policy = Policy(model=worker.alias, window=20, fusion=Fusion(method="minmax", weight=0.0))
    result = await run(asked(folder, worker.alias, policy=policy), environment)
    assert result.runs["default"] == result.runs["first_stage"] != result.runs["reranked"]


async def test_a_run_file_stands_in_for_the_search(
    folder: Path, worker: ScriptedWorker, environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "theirs.trec"
    path.write_text("cat Q0 cat-1 1 9 x\ncat Q0 cat-0 2 8 x\ndog Q0 dog-0 1 5 x\n")
    environment = environment | {"RERANK_BRIDGE_ENGINE_URL": "http://127.0.0.1:1"}
    result = await run(asked(folder, worker.alias, run_in=path), environment)
    assert result.measured["first_stage"].by_query["mrr@10"] == {"cat": 0.5, "dog": 1.0, "owl": 0.0, "fox": 0.0}
    assert result.measured["default"].by_query["mrr@10"]["cat"] == 1.0
    assert result.about.first_stage == "theirs.trec"


async def test_a_run_file_is_judged_without_a_worker(folder: Path, environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "theirs.trec"
    path.write_text("cat Q0 cat-0 1 9 x\n")
    result = await run(asked(folder, "nobody", run_in=path, rerank=False), environment)
    assert (list(result.runs), result.means["first_stage"]["mrr@10"]) == (["first_stage"], 0.25)
    assert result.summary()["model"] is None


async def test_a_run_with_an_unknown_document_is_refused(
    folder: Path, worker: ScriptedWorker, environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "theirs.trec"
    path.write_text("cat Q0 unicorn 1 9 x\n")
    with pytest.raises(InputError, match=r"theirs\.trec: document 'unicorn' of query 'cat' does not exist"):
        await run(asked(folder, worker.alias, run_in=path), environment)


async def test_without_a_worker_there_are_no_figures(folder: Path, environment: dict[str, str]) -> None:
    with pytest.raises(NoWorker):
        await run(asked(folder, "nobody"), environment)


async def test_a_model_that_fails_on_one_query_ends_the_evaluation(
    folder: Path, worker: ScriptedWorker, environment: dict[str, str]
) -> None:
    worker.answer = lambda request: Reply(id=request.id, error=("ModelFailed", "out of memory"))
    with pytest.raises(ModelFailed, match="out of memory"):
        await run(asked(folder, worker.alias), environment)


@pytest.fixture
def embedder(valkey: RunningValkey) -> Iterator[ScriptedWorker]:
    """Gives every text the same direction. In a database of its own, for its alias is what every search asks for."""
    with ScriptedWorker(url=valkey.url.removesuffix("/0") + "/7", alias="embed", dimensions=2) as running:
        yield running


@pytest.mark.parametrize("mode", ["knn", "hybrid"])
async def test_a_search_by_vectors_finds_what_shares_no_word_with_the_query(
    folder: Path, embedder: ScriptedWorker, environment: dict[str, str], mode: str
) -> None:
    roles = {f"RERANK_BRIDGE_{role}_URL": embedder.url for role in ("BROKER", "STATE", "CACHE")}
    environment = environment | roles
    lexical = await run(asked(folder, "nobody", rerank=False), environment)
    assert {len(item.ids) for item in lexical.collected.candidates.values()} == {4}
    dense = await run(asked(folder, "nobody", rerank=False, first_stage=mode), environment)
    assert {len(item.ids) for item in dense.collected.candidates.values()} == {16}
    documents = [text for texts in embedder.embedded for text in texts if text not in ANIMALS]
    assert len(documents) == 16, "each document is embedded once"


@pytest.fixture
async def live(folder: Path, elasticsearch: RunningEngine) -> Live:
    """The same documents in an index of the site's own making, with two text fields."""
    name = f"site-{uuid.uuid4().hex}"
    engine = await engines.connect(elasticsearch.url)
    try:
        fields = {"headline": {"type": "text"}, "body": {"type": "text"}}
        await engine.request("PUT", f"/{name}", body=json.dumps({"mappings": {"properties": fields}}).encode())
        for line in (folder / "corpus.jsonl").read_text().splitlines():
            row = json.loads(line)
            body = json.dumps({"headline": row["text"].split()[0], "body": row["text"]}).encode()
            await engine.request("PUT", f"/{name}/_doc/{row['_id']}", body=body)
        await engine.request("POST", f"/{name}/_refresh")
    finally:
        await engine.close()
    return Live(index=name, queries=folder / "queries.jsonl", qrels=folder / "qrels" / "test.tsv")


async def test_a_live_index_is_judged_with_the_queries_of_the_site(
    live: Live, worker: ScriptedWorker, environment: dict[str, str]
) -> None:
    result = await run(asked(live, worker.alias), environment)
    assert (result.about.data, result.means["default"]["ndcg@10"]) == (live.index, 1.0)
    assert worker.requests[0].documents[0].count("\n") == 1, "both text fields are read"


async def test_a_search_body_of_the_site_is_the_first_stage(
    live: Live, worker: ScriptedWorker, environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "body.json"
    path.write_text(json.dumps({"query": {"bool": {"must": [{"match": {"body": "{{query}}"}}]}}, "size": 1}))
    result = await run(asked(replace(live, search=path, fields=("body",)), worker.alias), environment)
    assert (result.about.first_stage, result.means["default"]["ndcg@10"]) == ("body.json", 1.0)
    assert len(result.collected.candidates["owl"].ids) == 4


async def test_a_judgment_for_a_document_that_the_index_lacks_is_named(
    live: Live, worker: ScriptedWorker, environment: dict[str, str]
) -> None:
    with live.qrels.open("a") as file:
        file.write("cat\tgone\t1\n")
    with pytest.raises(InputError, match=r"test\.tsv, line 6: a judgment for an unknown document, 'gone'"):
        await run(asked(live, worker.alias), environment)
    result = await run(asked(live, worker.alias, lenient=True), environment)
    assert result.topics.dropped == 1


async def test_a_live_index_without_vectors_has_no_knn_search(
    live: Live, worker: ScriptedWorker, environment: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError, match="has no vector field"):
        await run(asked(live, worker.alias, first_stage="knn"), environment)
