"""Nothing outlives the program that started it, and what dies early is reported with the end of its log."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest
import redis

from connector.embedded import errors, ports, process
from connector.embedded.engine import start_engine
from connector.embedded.process import Child
from connector.embedded.valkey import RunningValkey, start_valkey

ENVIRONMENT = {"PATH": os.defpath}
#: What a test waits for at most; passing tests take a moment.
PATIENCE_S = 60


def shell(script: str, folder: Path, **options: float) -> AbstractContextManager[Child]:
    command = ["/bin/sh", "-c", script]
    return process.running("The child", command, log=folder / "log", cwd=folder, env=ENVIRONMENT, **options)


def gone(pids: list[int]) -> bool:
    """Whether every one of the processes ends in time."""
    alive = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(alive, timeout=PATIENCE_S)
    return not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def lines(path: Path, count: int) -> list[str]:
    """The first lines of a file that another process writes."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = path.read_text().splitlines() if path.exists() else []
        if len(found) >= count:
            return found
        time.sleep(0.02)
    pytest.fail(f"{path} never had {count} lines")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken


def test_a_child_that_dies_at_boot_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    script = "echo one; echo the reason >&2; exit 3"
    with shell(script, tmp_path) as child, pytest.raises(errors.ChildDied) as caught:
        process.wait_until(child, lambda: None, PATIENCE_S)
    assert str(caught.value) == "The child ended with status 3"
    assert caught.value.__notes__ == ["The end of its log:\none\nthe reason"]


def test_an_engine_that_dies_at_boot_says_why() -> None:
    says = r"(?s)Elasticsearch 9[\d.]+ ended with status 1.*Too small maximum heap"
    with pytest.raises(errors.ChildDied, match=says), start_engine("elasticsearch", heap_mb=1):
        pytest.fail("it started")


def test_a_child_that_does_not_become_ready_is_reported_with_its_log_and_ended(tmp_path: Path) -> None:
    with shell("echo still thinking; exec sleep 1000", tmp_path) as child:
        lines(tmp_path / "log", 1)
        with pytest.raises(errors.NotReady, match=r"(?s)after 0 s.*still thinking"):
            process.wait_until(child, lambda: None, 0.0)
    assert gone([child.pid, child.guard.pid])


def test_a_program_that_does_not_exist_is_said_so(tmp_path: Path) -> None:
    command = ["/no-such-program"]
    child = process.running("The child", command, log=tmp_path / "log", cwd=tmp_path, env=ENVIRONMENT)
    with pytest.raises(errors.ChildDied, match=r"The child could not be started: .*no-such-program"), child:
        pytest.fail("it started")


def test_a_child_that_ignores_sigterm_is_killed_with_its_descendants(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 1000 & echo $!; echo ready; while :; do sleep 1000; done"
    with shell(script, tmp_path, grace=0.2) as child:
        descendant = int(lines(tmp_path / "log", 2)[0])
    assert gone([child.pid, child.guard.pid, descendant])


def test_descendants_that_a_child_leaves_behind_are_ended(tmp_path: Path) -> None:
    with shell("sleep 1000 & echo $!", tmp_path) as child:
        descendant = int(lines(tmp_path / "log", 1)[0])
        child.guard.wait(timeout=PATIENCE_S)
    assert gone([descendant])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its guard's death")
def test_a_killed_guard_leaves_no_child(tmp_path: Path) -> None:
    with shell("exec sleep 1000", tmp_path) as child:
        child.guard.kill()
        assert gone([child.pid])
        child.guard.wait(timeout=PATIENCE_S)
        with pytest.raises(errors.ChildDied):
            child.check()


KILLED = """
import os, sys, threading
from connector.embedded.stack import start_stack
def hold():
    with start_stack(worker=False, in_memory=True) as stack:
        print(*(child.pid for child in stack.children), flush=True)
        threading.Event().wait()
# Started from a thread: what follows the life of the starting thread instead of the program's would end too early.
thread = threading.Thread(target=hold)
thread.start()
thread.join()
"""


def test_kill_9_of_the_program_leaves_nothing_running() -> None:
    program = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    with program.stdout:
        pids = [int(pid) for pid in program.stdout.readline().split()]
        family = [one.pid for one in psutil.Process(program.pid).children(recursive=True)]
        program.send_signal(signal.SIGKILL)
        program.wait(timeout=PATIENCE_S)
    assert len(pids) == 2
    assert set(pids) < set(family)
    assert gone(family)


def test_a_taken_port_is_named(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(errors.PortTaken, match=str(port)), start_valkey(port=port):
        pytest.fail("it started")
    with pytest.raises(errors.PortTaken, match=str(port)), start_engine("elasticsearch", port=port, in_memory=True):
        pytest.fail("it started")


def test_a_port_lost_to_someone_faster_is_given_up_for_another(
    valkey: RunningValkey, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = [int(valkey.url.split(":")[2].partition("/")[0]), listener.getsockname()[1]]
    free = ports.free
    monkeypatch.setattr(ports, "free", lambda: theirs.pop() if theirs else free())
    with start_valkey(in_memory=True) as server, redis.Redis.from_url(server.url) as client:
        assert client.info()["process_id"] == server.pid
    assert not theirs


def test_sigterm_leaves_through_the_same_door_as_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with process.stop_on_sigterm(), pytest.raises(process.Asked) as caught:
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
