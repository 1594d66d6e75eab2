"""`rerank-bridge doctor` on servers that are well, missing, or set up against what a search needs."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from connector.embedded.engine import RunningEngine
from connector.embedded.valkey import RunningValkey, start_valkey
from tests.fixtures import console
from tests.fixtures.scripted import ScriptedWorker

KEY = "0123456789abcdef0123456789abcdef"


def examined(*arguments: str, **environment: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    ran = console.run("doctor", "--json", *arguments, **environment)
    checks: dict[str, list[dict[str, Any]]] = {}
    for check in json.loads(ran.stdout)["checks"]:
        checks.setdefault(check["name"], []).append(check)
    assert json.loads(ran.stdout)["ok"] == (ran.returncode == 0)
    return ran.returncode, checks


def better_on_topic(query: str, document: str) -> float:
    return 5.0 if "metal" in document else -5.0


def test_where_everything_is_well_every_check_says_so(elasticsearch: RunningEngine, valkey: RunningValkey) -> None:
    alias = f"t-{uuid.uuid4().hex[:8]}"
    servers = {"ENGINE_URL": elasticsearch.url, "BROKER_URL": valkey.url, "HASH_KEY": KEY}
    with ScriptedWorker(valkey.url, alias, score=better_on_topic):
        code, checks = examined("--model", alias, **servers)
        table = console.run("doctor", "--model", alias, **servers)
    assert code == 0
    assert list(checks) == ["engine", "hash key", "state", "cache", "queue", "worker", "score"]
    mine = [check for check in checks["worker"] if check["detail"].startswith(alias)]
    for (check,) in ([*checks[name]] for name in ("engine", "hash key", "state", "cache", "queue", "score")):
        assert (check["verdict"], check["advice"]) == ("ok", ""), check
    assert [check["verdict"] for check in mine] == ["ok"]
    assert "ms there and back" in checks["score"][0]["detail"]
    assert table.returncode == 0
    assert f"elasticsearch {elasticsearch.version} at {elasticsearch.url}" in table.stdout
    assert KEY not in table.stdout


@pytest.mark.parametrize("there", [False, True], ids=["nothing is there", "the password is wrong"])
def test_where_nothing_answers_every_part_says_what_to_do_and_no_password_is_shown(
    there: bool, valkey: RunningValkey
) -> None:
    redis_url = valkey.url.replace("redis://", "redis://u:hunter2@") if there else "redis://u:hunter2@127.0.0.1:9/0"
    ran = console.run("doctor", "--json", ENGINE_URL="http://u:hunter2@127.0.0.1:9", BROKER_URL=redis_url)
    assert ran.returncode == 1
    checks = {check["name"]: check for check in json.loads(ran.stdout)["checks"]}
    assert {name: check["verdict"] for name, check in checks.items()} == {
        "engine": "fail",
        "hash key": "warn",
        "state": "fail",
        "cache": "fail",
        "queue": "fail",
        "worker": "fail",
        "score": "fail",
    }
    assert all(check["advice"] for check in checks.values())
    assert "hunter2" not in ran.stdout + ran.stderr


def test_without_a_worker_it_says_how_to_start_one(elasticsearch: RunningEngine, valkey: RunningValkey) -> None:
    alias = f"t-{uuid.uuid4().hex[:8]}"
    code, checks = examined("--model", alias, ENGINE_URL=elasticsearch.url, BROKER_URL=valkey.url, HASH_KEY=KEY)
    assert code == 1
    missing = checks["worker"][-1]
    assert (missing["verdict"], missing["detail"]) == ("fail", f"none serves '{alias}'")
    assert missing["advice"].endswith(f"rerank-bridge worker --alias {alias}")
    assert checks["score"][0]["verdict"] == "fail"


def test_a_model_that_ranks_the_wrong_way_is_a_warning(elasticsearch: RunningEngine, valkey: RunningValkey) -> None:
    alias = f"t-{uuid.uuid4().hex[:8]}"
    with ScriptedWorker(valkey.url, alias, score=lambda q, d: -better_on_topic(q, d)):
        code, checks = examined("--model", alias, ENGINE_URL=elasticsearch.url, BROKER_URL=valkey.url, HASH_KEY=KEY)
    assert code == 0
    assert checks["score"][0]["verdict"] == "warn"


def test_a_state_server_that_evicts_fails_and_a_cache_that_cannot_is_warned_of(elasticsearch: RunningEngine) -> None:
    with (
        start_valkey(in_memory=True, maxmemory="64mb") as full,
        start_valkey(in_memory=True, maxmemory="64mb") as evicts,
    ):
        import redis

        with redis.Redis.from_url(evicts.url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        servers = {"ENGINE_URL": elasticsearch.url, "HASH_KEY": KEY}
        options = ("--deadline", "0.1")
        _, wrong = examined(*options, BROKER_URL=evicts.url, CACHE_URL=full.url, **servers)
        _, right = examined(*options, BROKER_URL=full.url, CACHE_URL=evicts.url, **servers)
        _, shared = examined(*options, BROKER_URL=evicts.url, **servers)
    assert [wrong[role][0]["verdict"] for role in ("state", "cache")] == ["fail", "warn"]
    assert "maxmemory-policy noeviction" in wrong["state"][0]["advice"]
    assert "allkeys-lru" in wrong["cache"][0]["advice"]
    assert [right[role][0]["verdict"] for role in ("state", "cache")] == ["ok", "ok"]
    assert shared["state"][0]["verdict"] == "fail"
