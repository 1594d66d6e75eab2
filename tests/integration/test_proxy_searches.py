"""Searches through the proxy on a real engine: policies, options of a request, what is told, what is left alone."""

from __future__ import annotations

import gzip
import http.client
import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey
from tests.fixtures import proxies
from tests.fixtures.proxies import SCRIPT, RunningProxy
from tests.fixtures.scripted import ScriptedWorker

BODY: dict[str, Any] = {"query": {"match": {"body": "bridge"}}, "size": 5}
#: By the engine, and by the scripted model, which prefers long documents; there are 30.
SHORT = ["0", "1", "2", "3", "4"]
LONG = ["29", "28", "27", "26", "25"]


@dataclass
class Site:
    """A proxy with rules for indices whose names begin with `name`."""

    url: str
    engine: str
    name: str
    proxy: RunningProxy
    worker: ScriptedWorker

    def search(
        self, body: Any = BODY, *, index: str = "on", query: str = "", headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, Any]:
        """The response and its JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        names = ",".join(self.name + one for one in index.split(","))
        return call(self.url, "POST", f"/{names}/_search{query}", data, headers)

    def ids(self, *arguments: Any, **named: Any) -> tuple[str | None, list[str]]:
        """Status told and the hits."""
        response, answer = self.search(*arguments, **named)
        return response.getheader("x-rerank-status"), [hit["_id"] for hit in answer["hits"]["hits"]]


def call(
    url: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, Any]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    kind = {"Content-Type": "application/json"} if body else {}
    connection.request(method, path, body, {**kind, **(headers or {})})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response, json.loads(answer) if answer else None


_CONFIG = """
[defaults]
model = "{model}"
deadline = 30

[[index]]
pattern = "{name}on"
client_options = ["window", "details"]

[[index]]
pattern = "{name}shadow"
mode = "shadow"

[[index]]
pattern = "{name}none"
share = 0.0

[[index]]
pattern = "{name}strict"
model = "nobody-{model}"
strict = true
"""


@pytest.fixture(scope="module")
def site(
    elasticsearch: RunningEngine, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    name = f"searches-{uuid.uuid4().hex}-"
    config = tmp_path_factory.mktemp("searches") / "rerank-bridge.toml"
    config.write_text(_CONFIG.format(name=name, model=name))
    documents = "".join(
        f'{{"index":{{"_id":"{i}"}}}}\n{json.dumps({"body": "bridge " + "stone " * i, "n": i})}\n' for i in range(30)
    ).encode()
    for index in ("on", "shadow", "none", "strict", "other"):
        call(elasticsearch.url, "POST", f"/{name}{index}/_bulk?refresh=true", documents)
    with (
        ScriptedWorker(valkey.url, name) as worker,
        proxies.serve(
            elasticsearch.url,
            arguments=("--config", str(config)),
            environment={"RERANK_BRIDGE_BROKER_URL": valkey.url},
        ) as proxy,
    ):
        yield Site(proxy.url, elasticsearch.url, name, proxy, worker)
    for index in ("on", "shadow", "none", "strict", "other"):
        call(elasticsearch.url, "DELETE", f"/{name}{index}")


def test_a_search_is_reranked_and_says_how(site: Site) -> None:
    response, answer = site.search(headers={"X-Request-Id": "r-1"})
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == LONG
    assert response.getheader("x-rerank-status") == "applied"
    assert (response.getheader("x-rerank-model") or "").startswith("scripted ")
    timing = response.getheader("server-timing") or ""
    assert [part.split(";")[0] for part in timing.split(", ")] == [
        "engine",
        "cache",
        "queue",
        "score",
        "merge",
        "total",
    ]
    line = site.proxy.logged("search", request_id="r-1")
    assert (line["status"], line["candidates"]) == ("applied", 30)
    assert "bridge" not in json.dumps({**line, "logger": ""}).replace(site.name, "")


@pytest.mark.parametrize(
    ("index", "told", "ids"),
    [
        ("shadow", "shadow", SHORT),
        ("none", "off", SHORT),
        ("other", "off", SHORT),
        ("on,other", "skipped", None),
        ("on,on", "applied", LONG),
    ],
)
def test_each_index_has_its_policy(site: Site, index: str, told: str, ids: list[str] | None) -> None:
    found = site.ids(index=index)
    assert found[0] == told
    assert ids is None or found[1] == ids


def test_a_shadow_search_is_scored_and_logged_beside_the_answer(site: Site) -> None:
    site.search({**BODY, "query": {"match": {"body": "bridge shadowed"}}}, index="shadow")
    assert site.proxy.logged("shadow_scored", failure="", model=site.name)["kept_in_top_10"] == 0


def test_a_strict_policy_tells_an_error_in_the_place_of_another_order(site: Site) -> None:
    response, answer = site.search(index="strict")
    assert (response.status, answer["status"]) == (503, 503)
    assert response.getheader("x-rerank-status") == "unavailable"


@pytest.mark.parametrize(
    ("body", "query", "headers"),
    [
        (BODY, "", {"X-Rerank": "false"}),
        (BODY, "?rerank=false", {}),
        ({**BODY, "ext": {"rerank_bridge": {"rerank": False}}}, "", {}),
        ({**BODY, "ext": {"rerank_bridge": {"rerank": True}}}, "?rerank=true", {"X-Rerank": "off"}),
    ],
)
def test_a_request_switches_reranking_off_by_header_parameter_or_body(
    site: Site, body: Any, query: str, headers: dict[str, str]
) -> None:
    assert site.ids(body, query=query, headers=headers) == ("off", SHORT)


@pytest.mark.parametrize(
    ("body", "query", "headers"),
    [
        (BODY, "", {"X-Rerank-Window": "3"}),
        (BODY, "?rerank_window=3", {}),
        ({**BODY, "ext": {"rerank_bridge": {"window": 3}}}, "?rerank_pins=2", {}),
    ],
)
def test_a_request_sets_what_its_rule_allows_and_the_engine_never_sees_it(
    site: Site, body: Any, query: str, headers: dict[str, str]
) -> None:
    assert site.ids(body, query=query, headers=headers) == ("applied", ["2", "1", "0", "3", "4"])


def test_a_bad_option_is_told_and_the_engine_answers(site: Site) -> None:
    response, answer = site.search(query="?rerank_window=wide")
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == SHORT
    assert response.getheader("x-rerank-status") == "skipped"
    assert "window" in (response.getheader("x-rerank-reason") or "")


def test_details_are_shown_on_request(site: Site) -> None:
    _, answer = site.search(headers={"X-Rerank-Details": "true"})
    assert answer["hits"]["hits"][0]["fields"]["_rerank.first_stage_rank"] == [30]


def test_a_compressed_request_is_reranked(site: Site) -> None:
    assert site.ids(gzip.compress(json.dumps(BODY).encode()), headers={"Content-Encoding": "gzip"})[1] == LONG


def test_a_client_that_accepts_compression_gets_what_it_can_read(site: Site) -> None:
    response, answer = site.search(headers={"Accept-Encoding": "gzip"})
    assert response.getheader("content-encoding") is None
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == LONG


def test_a_body_over_the_limit_passes_unreranked(site: Site) -> None:
    assert site.ids({**BODY, "stats": ["x" * (1 << 20)]}) == ("skipped", SHORT)


@pytest.mark.parametrize(
    "kind", ["application/vnd.elasticsearch+json; compatible-with=9", "application/json; charset=UTF-8"]
)
def test_media_types_of_the_clients_are_read(site: Site, kind: str) -> None:
    response, answer = site.search(headers={"Content-Type": kind, "Accept": kind})
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == LONG
    assert response.getheader("x-elastic-product") == "Elasticsearch"


def test_a_body_in_another_format_is_the_engines_to_read(site: Site) -> None:
    body = b"query:\n  match:\n    body: bridge\nsize: 5\n"
    assert site.ids(body, headers={"Content-Type": "application/yaml", "Accept": "application/json"}) == (
        "skipped",
        SHORT,
    )


def test_an_answer_asked_for_in_another_format_is_the_engines(site: Site) -> None:
    path = f"/{site.name}on/_search"
    connection = http.client.HTTPConnection(*site.proxy.address, timeout=60)
    connection.request(
        "POST", path, json.dumps(BODY), {"Content-Type": "application/json", "Accept": "application/yaml"}
    )
    response = connection.getresponse()
    assert response.read().startswith(b"---\ntook:")
    assert response.getheader("x-rerank-status") == "skipped"
    connection.close()


def test_pages_inside_the_window_hold_every_hit_once(site: Site) -> None:
    pages = [site.ids({**BODY, "size": 7, "from": first})[1] for first in range(0, 30, 7)]
    assert [one for page in pages for one in page] == [str(i) for i in reversed(range(30))]


def test_an_msearch_is_reranked_search_by_search(site: Site) -> None:
    lines = [
        {"index": f"{site.name}on"}, BODY,
        {"index": f"{site.name}on"}, {**BODY, "sort": ["n"]},
        {"index": f"{site.name}other"}, BODY,
        {"index": f"{site.name}nowhere"}, BODY,
        {"index": f"{site.name}on"}, {**BODY, "ext": {"rerank_bridge": {"rerank": False}}},
    ]  # fmt: skip
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    response, answer = call(site.url, "POST", "/_msearch", data, {"Content-Type": "application/x-ndjson"})
    assert response.getheader("x-rerank-status") == "applied, skipped, off, off, off"
    assert [one["status"] for one in answer["responses"]] == [200, 200, 200, 404, 200]
    found = [[hit["_id"] for hit in one["hits"]["hits"]] for one in answer["responses"] if "hits" in one]
    assert found == [LONG, SHORT, SHORT, SHORT]


def test_the_stats_count_what_became_of_searches(site: Site) -> None:
    site.search()
    _, stats = call(site.url, "GET", "/_rerank/stats")
    assert stats["searches"]["applied"] > 0
    assert stats["nodes"][0]["up"]
    assert any(worker["alias"] == site.name for worker in stats["workers"])
    assert call(site.url, "GET", "/_rerank/nothing")[0].status == 404
    assert call(site.url, "POST", "/_rerank/stats", b"{}")[0].status == 400


def test_init_writes_a_configuration_that_serve_takes(site: Site, tmp_path: Path) -> None:
    output = tmp_path / "rerank-bridge.toml"
    command = [SCRIPT, "init", "--engine-url", site.engine, "--output", output]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    text = output.read_text()
    assert f'pattern = "{site.name}on"\n' in text
    assert 'text.fields = ["body"]' in text
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert again.returncode == 2
    assert "--force" in again.stderr
    with proxies.serve(site.engine, arguments=("--config", str(output))) as proxy:
        assert call(proxy.url, "GET", "/_rerank/health/live")[0].status == 200
