"""Each engine boots for real, under either account, and does what demo and tests need of it."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from connector.embedded import cache, errors, rundir
from connector.embedded.engine import EngineName, RunningEngine, start_engine
from connector.embedded.valkey import RunningValkey, start_valkey

BOTH = ["elasticsearch", "opensearch"]
ROOT = os.geteuid() == 0


def call(url: str, path: str, body: object = None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url + path, data=data, headers=headers, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
        return json.load(response)


@pytest.fixture(params=BOTH)
def engine(request: pytest.FixtureRequest) -> RunningEngine:
    running: RunningEngine = request.getfixturevalue(request.param)
    return running


def test_an_engine_says_who_it_is_and_runs_as_an_ordinary_user(engine: RunningEngine) -> None:
    root = call(engine.url, "/")
    assert root["name"] == f"{engine.name}-1"
    assert root["version"]["number"] == engine.version
    assert (root["version"].get("distribution") == "opensearch") is (engine.name == "opensearch")
    assert psutil.Process(engine.pid).uids().effective != 0


def test_an_engine_analyzes_english(engine: RunningEngine) -> None:
    tokens = call(engine.url, "/_analyze", {"analyzer": "english", "text": "The parsers were parsing dates"})["tokens"]
    assert [token["token"] for token in tokens] == ["parser", "were", "pars", "date"]


def test_opensearch_has_knn_and_painless(opensearch: RunningEngine) -> None:
    method = {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"}
    vector = {"type": "knn_vector", "dimension": 2, "method": method}
    index = {"settings": {"index.knn": True}, "mappings": {"properties": {"v": vector}}}
    call(opensearch.url, "/embedded-knn", index, method="PUT")
    try:
        for name, value in {"east": [1.0, 0.1], "north": [0.1, 1.0]}.items():
            call(opensearch.url, f"/embedded-knn/_doc/{name}?refresh=true", {"v": value}, method="PUT")
        search = {
            "query": {"knn": {"v": {"vector": [0.0, 1.0], "k": 2}}},
            "script_fields": {"twice": {"script": {"source": "2 * params.n", "params": {"n": 21}}}},
        }
        hits = call(opensearch.url, "/embedded-knn/_search", search)["hits"]["hits"]
    finally:
        call(opensearch.url, "/embedded-knn", method="DELETE")
    assert [hit["_id"] for hit in hits] == ["north", "east"]
    assert hits[0]["fields"]["twice"] == [42]


def test_elasticsearch_has_vectors(elasticsearch: RunningEngine) -> None:
    vector = {"type": "dense_vector", "dims": 2, "index": True, "similarity": "cosine"}
    call(elasticsearch.url, "/embedded-knn", {"mappings": {"properties": {"v": vector}}}, method="PUT")
    try:
        for name, value in {"east": [1.0, 0.1], "north": [0.1, 1.0]}.items():
            call(elasticsearch.url, f"/embedded-knn/_doc/{name}?refresh=true", {"v": value}, method="PUT")
        search = {"knn": {"field": "v", "query_vector": [0.0, 1.0], "k": 2, "num_candidates": 2}}
        hits = call(elasticsearch.url, "/embedded-knn/_search", search)["hits"]["hits"]
    finally:
        call(elasticsearch.url, "/embedded-knn", method="DELETE")
    assert [hit["_id"] for hit in hits] == ["north", "east"]


def test_documents_outlive_an_engine_that_keeps_its_data(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = open_folder / "engine"
    with start_engine("elasticsearch", data=data) as engine:
        call(engine.url, "/kept/_doc/1?refresh=true", {"title": "still here"}, method="PUT")
        monkeypatch.setattr(rundir, "LOCK_WAIT_S", 0.2)
        second = start_engine("elasticsearch", data=data)
        with pytest.raises(errors.CacheUnusable, match="stop it first"), second:
            pytest.fail("two engines share one data folder")
    with start_engine("elasticsearch", data=data) as engine:
        assert call(engine.url, "/kept/_doc/1")["_source"] == {"title": "still here"}


@pytest.mark.skipif(not ROOT, reason="only root has another account to start from")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
@pytest.mark.parametrize("name", BOTH)
def test_an_ordinary_user_assembles_and_boots_it_in_a_home_of_mode_0700(name: EngineName, open_folder: Path) -> None:
    home = open_folder / "home"
    cached = home / ".cache" / "rerank-bridge"
    # What root has downloaded is checked against the lock again, and not fetched again.
    shutil.copytree(cache.cache_folder() / "artifacts", cached / "artifacts")
    for path in [home, *home.rglob("*")]:
        os.chown(path, 65534, 65534)
    home.chmod(0o700)
    script = (
        "import os\nfrom connector.embedded.engine import start_engine\n"
        f"with start_engine({name!r}) as engine:\n    print(os.geteuid(), engine.name, engine.version, engine.url)\n"
    )
    # The interpreter may lie in a folder of root's: reading is all that the other account is given.
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    done = subprocess.run(
        [*drop, *read, sys.executable, "-c", script],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    uid, booted, _, url = done.stdout.split()
    assert (uid, booted) == ("65534", name)
    assert url.startswith("http://127.0.0.1:")
    assert not list((cached / "runs").iterdir())


@pytest.mark.skipif(not ROOT, reason="an ordinary user's servers run as that user")
def test_a_data_folder_that_the_servers_may_not_enter_is_refused_by_name(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    with (
        pytest.raises(errors.CacheUnusable, match=f"may not enter {closed}"),
        start_valkey(data=closed / "valkey"),
    ):
        pytest.fail("it started")


def test_valkey_keeps_what_it_was_told_to_keep(open_folder: Path) -> None:
    for expected in (None, b"kept"):
        kept = start_valkey(data=open_folder / "valkey", append_only=True, maxmemory="64mb")
        with kept as server, redis.Redis.from_url(server.url) as client:
            assert client.get("embedded:test") == expected
            limits = client.config_get("maxmemory*")
            assert (limits["maxmemory"], limits["maxmemory-policy"]) == (str(64 * 2**20), "noeviction")
            client.set("embedded:test", "kept")


def test_the_session_valkey_answers(valkey: RunningValkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        assert client.info()["process_id"] == valkey.pid
