"""`rerank-bridge up` in its own process: what it prints, and what is left when it is asked to stop."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis

from tests.fixtures import console

COMMAND = [sys.executable, "-c", "from connector.cli.up import app; app()", "--no-worker"]
PATIENCE_S = 120


@pytest.fixture
def data(open_folder: Path) -> Path:
    return open_folder / "data"


@contextmanager
def up(data: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A running `up` and the variables that it printed."""
    command = [*COMMAND, "--data", str(data)]
    program = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=console.heed_interrupts
    )
    assert program.stdout is not None
    exports: dict[str, str] = {}
    try:
        with program.stdout as output:
            said = []
            for line in output:
                said.append(line)
                if found := re.match(r"export (\w+)=(\S+)", line):
                    exports[found[1]] = found[2]
                if line.startswith("Up."):
                    break
            else:
                pytest.fail("".join(said))
            yield program, exports
    finally:
        # Asked, not killed: what it started is gone before its folder goes.
        program.terminate()
        program.wait(timeout=PATIENCE_S)


def family(program: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(program.pid).children(recursive=True)


def none_left(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_S)
    return not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_exits_0_and_leaves_nothing_running(number: signal.Signals, data: Path) -> None:
    with up(data) as (program, exports):
        started = family(program)
        names = {one.name() for one in started}
        assert {"java", "valkey-server"} <= names or {"java", "redis-server"} <= names
        program.send_signal(number)
        assert program.wait(timeout=PATIENCE_S) == 0
        assert none_left(started)
    told = {name.removeprefix("RERANK_BRIDGE_") for name in exports}
    assert told == {"BROKER_URL", "CACHE_URL", "ENGINE_URL", "HASH_KEY", "JOBS_DIR", "STATE_URL"}


def test_killed_it_leaves_nothing_in_the_way_of_the_next_start_on_the_same_data(data: Path) -> None:
    with up(data) as (program, first):
        with redis.Redis.from_url(first["RERANK_BRIDGE_CACHE_URL"]) as client:
            client.set("embedded:up", "written before the kill")
            # The append-only file is synced once a second; the kernel has the bytes when the write was answered.
        started = family(program)
        program.send_signal(signal.SIGKILL)
        with up(data) as (_, second):
            with redis.Redis.from_url(second["RERANK_BRIDGE_CACHE_URL"]) as client:
                assert client.get("embedded:up") == b"written before the kill"
            assert second["RERANK_BRIDGE_HASH_KEY"] == first["RERANK_BRIDGE_HASH_KEY"]
        assert none_left(started)
    assert (data / "hash-key").stat().st_mode & 0o777 == 0o600
