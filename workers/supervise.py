"""`--devices all`: one worker process for each GPU, started again when it dies, stopped together."""

from __future__ import annotations

import logging
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from types import FrameType

from connector.contract.errors import ConfigurationError, MissingExtra

__all__ = ["commands", "run_all", "supervise"]

logger = logging.getLogger(__name__)

#: Seconds between two starts of a worker that keeps dying.
_RESTART_PAUSE = 5.0
#: Seconds in which workers finish what is in flight, before they are killed.
_GRACE = 60.0


def run_all(devices: str, command: Sequence[str], *, metrics_port: int) -> int:
    """Starts and supervises one worker for each GPU of this machine; returns the exit code.

    Raises:
        ConfigurationError: `devices` is not "all", or there is no GPU.
        MissingExtra: torch is not installed.
    """
    if devices != "all":
        raise ConfigurationError(f"--devices {devices}: only all is known; for one device name it by --device")
    try:
        import torch
    except ImportError as exc:
        raise MissingExtra("a worker on a GPU", "worker") from exc
    count = torch.cuda.device_count()
    if not count:
        raise ConfigurationError("--devices all: this machine has no CUDA device that torch can use")
    return supervise(commands(command, count, metrics_port))


def commands(command: Sequence[str], count: int, metrics_port: int) -> list[list[str]]:
    """The command line of each GPU's worker: this one, with its own `--device` and metrics port."""
    kept: list[str] = []
    rest = iter(command)
    for part in rest:
        name = part.partition("=")[0]
        if name in ("--devices", "--device", "--metrics-port"):
            if "=" not in part:
                next(rest, None)
            continue
        kept.append(part)
    ports = [["--metrics-port", str(metrics_port + i)] if metrics_port else [] for i in range(count)]
    return [[*kept, "--device", f"cuda:{i}", *ports[i]] for i in range(count)]


def supervise(lines: Sequence[Sequence[str]], *, pause: float = _RESTART_PAUSE) -> int:
    """Runs these commands until SIGTERM or SIGINT, or until one refuses its configuration; returns the exit code."""
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    children = [subprocess.Popen(line) for line in lines]
    started = [time.monotonic()] * len(children)
    refused = 0
    while not stopping and not refused:
        time.sleep(0.2)
        for i, child in enumerate(children):
            code = child.poll()
            if code is None:
                continue
            if code in (ConfigurationError.exit_code, 5):
                refused = code
            elif time.monotonic() - started[i] >= pause:
                logger.warning("worker %d ended with code %d: it is started again", i, code)
                children[i], started[i] = subprocess.Popen(lines[i]), time.monotonic()
    _stop_all(children, time.monotonic)
    return refused


def _stop_all(children: Sequence[subprocess.Popen[bytes]], clock: Callable[[], float]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    until = clock() + _GRACE
    for child in children:
        try:
            child.wait(max(0.1, until - clock()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
