"""Starts the stack's processes, each behind a guard that ends it when this program ends, in whatever way."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from connector.embedded import errors
from connector.embedded.account import Account

__all__ = ["Asked", "Child", "running", "stop_on_sigterm", "wait_until"]

GUARD = Path(__file__).with_name("guard.py")
TAIL_LINES = 30
LOOK_EVERY_S = 0.05
FRAME = re.compile(r"\tat \S+\(.*\)$|\t\.\.\. \d+ more$")

T = TypeVar("T")


class Asked(SystemExit):
    """A signal asked the program to stop."""


@dataclass(frozen=True, kw_only=True)
class Child:
    """A process of the stack."""

    name: str
    pid: int
    log: Path
    guard: subprocess.Popen[bytes] = field(repr=False)

    def check(self) -> None:
        """Raise ChildDied, with the end of its log as a note, unless the child runs."""
        status = self.guard.poll()
        if status is not None:
            raise self.explained(errors.ChildDied(f"{self.name} ended with status {status}"))

    def explained(self, error: errors.EmbeddedError) -> errors.EmbeddedError:
        """The error with the end of the child's log as a note."""
        error.add_note(f"The end of its log:\n{self.tail()}")
        return error

    def tail(self) -> str:
        """The last lines of the child's log, without the frames of Java's stack traces, which push out the reason."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError as exc:
            return f"(cannot read {self.log}: {exc.strerror})"
        telling = [line for line in lines if not FRAME.search(line)]
        return "\n".join(telling[-TAIL_LINES:]) or "(its log is empty)"


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    env: Mapping[str, str],
    account: Account | None = None,
    grace: float = 15.0,
    keep: Sequence[int] = (),
) -> Iterator[Child]:
    """Run `command` until the context ends: then SIGTERM, and SIGKILL after `grace` seconds.

    The file descriptors in `keep` stay open until the child is gone, which is what a lock on its folder needs.
    Raises ChildDied when the command cannot be started.
    """
    with log.open("ab") as output:
        guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
            pass_fds=keep,
        )
    drop = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    spec = {"command": list(command), "cwd": str(cwd), "env": dict(env), "grace": grace, "account": drop}
    pid = None
    try:
        answer = _ask(guard, spec)
        if not answer.startswith("pid "):
            raise errors.ChildDied(f"{name} could not be started: {answer.removeprefix('error ') or 'its guard died'}")
        pid = int(answer.removeprefix("pid "))
        yield Child(name=name, pid=pid, log=log, guard=guard)
    finally:
        _stop(guard, pid, grace)


def _ask(guard: subprocess.Popen[bytes], spec: Mapping[str, object]) -> str:
    assert guard.stdin is not None
    assert guard.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        guard.stdin.write(json.dumps(spec).encode() + b"\n")
        guard.stdin.flush()
    return guard.stdout.readline().decode(errors="replace").strip()


def _stop(guard: subprocess.Popen[bytes], pid: int | None, grace: float) -> None:
    """Let go of the lifeline and wait for the guard to do the rest; should it be gone, kill the group from here."""
    for pipe in (guard.stdin, guard.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    try:
        guard.wait(timeout=grace + 10)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()
    if pid is not None and guard.returncode < 0:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def wait_until(child: Child, ready: Callable[[], T | None], deadline: float) -> T:
    """The first value of `ready()` that is not None, asked for at most `deadline` seconds while the child lives.

    Raises ChildDied, NotReady.
    """
    until = time.monotonic() + deadline
    while True:
        child.check()
        if (value := ready()) is not None:
            return value
        if time.monotonic() > until:
            raise child.explained(errors.NotReady(f"{child.name} was not ready after {deadline:.0f} s"))
        time.sleep(LOOK_EVERY_S)


@contextlib.contextmanager
def stop_on_sigterm() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP leave through the same door as Ctrl-C, so that everything is stopped in order."""

    def leave(number: int, _frame: object) -> None:
        raise Asked(128 + number)

    previous = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
