"""Runs one child and takes it down, with all its descendants, when the program that asked for it is gone.

Started as a script by `process.py`, never imported. Standard input carries one line of JSON saying what to run, and is
a lifeline after that: when it closes, however its other end died, the child is ended. Standard output carries back one
line, `pid N` or `error TEXT`; standard error is the child's log. Should the guard be killed, Linux ends the child.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
from typing import Any

PR_SET_PDEATHSIG = 1
LOOK_EVERY_S = 1.0


def main() -> int:
    parent = os.getppid()
    spec = json.loads(sys.stdin.buffer.readline() or "null")
    if spec is None:
        return 1
    wakeup = _wake_on_signals()
    try:
        child = _start(spec)
    except (OSError, subprocess.SubprocessError) as exc:
        _tell(f"error {exc}")
        return 1
    _tell(f"pid {child.pid}")
    try:
        _watch(child, parent, wakeup)
    finally:
        _end(child, float(spec["grace"]))
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _wake_on_signals() -> socket.socket:
    """A socket that receives the number of each signal that matters here."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return reader


def _start(spec: dict[str, Any]) -> subprocess.Popen[bytes]:
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def die_with_guard() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return subprocess.Popen(
        spec["command"],
        cwd=spec["cwd"],
        env=spec["env"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        process_group=0,
        # The guard has one thread, and Python runs this after the change of user, which would undo it.
        preexec_fn=die_with_guard,
        **spec["account"],
    )


def _tell(line: str) -> None:
    # The one who asked may be gone already, which the lifeline says next.
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{line}\n".encode())


def _watch(child: subprocess.Popen[bytes], parent: int, wakeup: socket.socket) -> None:
    """Return when the child has ended, a signal asks for it, or the parent is gone."""
    while child.poll() is None:
        ready, _, _ = select.select([0, wakeup.fileno()], [], [], LOOK_EVERY_S)
        if 0 in ready or os.getppid() != parent:
            return
        if wakeup.fileno() in ready and set(wakeup.recv(4096)) - {signal.SIGCHLD}:
            return


def _end(child: subprocess.Popen[bytes], grace: float) -> None:
    """Ask the child's group to end, insist after `grace` seconds, and leave nothing of the group."""
    if child.poll() is None:
        _signal_group(child.pid, signal.SIGTERM)
        try:
            child.wait(timeout=grace)
        except subprocess.TimeoutExpired:
            _signal_group(child.pid, signal.SIGKILL)
            child.wait()
    _signal_group(child.pid, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main())
