"""The proxy's memory over 100,000 requests: passed through, reranked from the cache, and reranked anew."""

from __future__ import annotations

import http.client
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey
from tests.bench import proxy as site
from tests.fixtures import proxies
from tests.fixtures.proxies import RunningProxy
from tests.fixtures.scripted import ScriptedWorker

REQUESTS, CLIENTS = 100_000, 8
#: Requests after which caches, pools and the allocator have found their size.
WARM = 20_000
#: Megabytes that may be added after that.
GROWTH = 16.0


@pytest.mark.soak
def test_memory_stays_flat_over_a_hundred_thousand_requests(
    elasticsearch: RunningEngine, valkey: RunningValkey, tmp_path: Path
) -> None:
    site.fill(elasticsearch.url)
    alias = f"soak-{uuid.uuid4().hex}"
    config = tmp_path / "rerank-bridge.toml"
    config.write_text(f'[[index]]\npattern = "{site.INDEX}"\nmodel = "{alias}"\ndeadline = 5\nwindow = 10\n')
    with (
        ScriptedWorker(valkey.url, alias) as worker,
        proxies.serve(
            elasticsearch.url,
            arguments=("--config", str(config)),
            environment={"RERANK_BRIDGE_BROKER_URL": valkey.url},
        ) as proxy,
        ThreadPoolExecutor(CLIENTS) as threads,
    ):
        list(threads.map(_send, [proxy] * CLIENTS, [WARM // CLIENTS] * CLIENTS))
        worker.requests.clear()
        before = site.resident_mb(proxy.process.pid)
        list(threads.map(_send, [proxy] * CLIENTS, [(REQUESTS - WARM) // CLIENTS] * CLIENTS))
        after = site.resident_mb(proxy.process.pid)
    print(f"\nresident: {before} MB after {WARM} requests, {after} MB after {REQUESTS}")
    assert after - before < GROWTH


def _send(proxy: RunningProxy, count: int) -> None:
    """Of ten requests eight are passed through, one is reranked from the cache and one anew."""
    connection = http.client.HTTPConnection(*proxy.address, timeout=60)
    headers = {"Content-Type": "application/json"}
    for i in range(count):
        if i % 10 < 8:
            connection.request("GET", f"/{site.INDEX}/_doc/{i % site.DOCUMENTS}")
        else:
            words = "word0100 word0200" if i % 10 == 8 else f"word0100 {uuid.uuid4().hex}"
            body = json.dumps({"query": {"match": {"body": words}}, "size": 5})
            connection.request("POST", site.PATH, body, headers)
        response = connection.getresponse()
        assert response.status == 200
        response.read()
    connection.close()
