"""Starts one worker process through the console script and waits for its first heartbeat."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import redis

from connector.contract import env, errors, names
from connector.contract.heartbeats import Heartbeat
from connector.embedded import process, rundir
from connector.embedded.process import Child
from connector.embedded.report import Report, quiet

__all__ = ["RunningWorker", "console_script", "start_worker"]

#: Loading a large model from a slow disk takes its time.
READY_DEADLINE_S = 180.0
COMMAND = "import sys; from connector.cli.main import main; sys.exit(main())"


@dataclass(frozen=True, kw_only=True)
class RunningWorker:
    """A worker whose model is warm."""

    pid: int
    log: Path
    #: what it announced: model, backend, fingerprint
    heartbeat: Heartbeat
    child: Child


@contextmanager
def start_worker(
    environment: Mapping[str, str],
    *,
    model: str | None = None,
    backend: str | None = None,
    alias: str | None = None,
    kind: Literal["score", "embed"] = "score",
    report: Report = quiet,
) -> Iterator[RunningWorker]:
    """Run a worker, on the servers that `environment` names, until the context ends.

    Without `model` it is the worker's own default. Raises EmbeddedError: ChildDied with the end of its log, NotReady.
    """
    alias = alias or ("default" if kind == "score" else "embed")
    options = {"--alias": alias, "--kind": kind, "--model": model, "--backend": backend}
    given = [text for name, value in options.items() if value is not None for text in (name, value)]
    # The worker runs as the caller, whose modules it loads: only the servers drop to another account.
    with rundir.opened(None, None) as run:
        report.step("Starting the worker" + (f" with {model}" if model else ""))
        with process.running(
            "The worker",
            [*console_script(), "worker", *given],
            log=run.output,
            cwd=Path.cwd(),
            env={**os.environ, **environment},
            keep=[run.lock],
        ) as child:
            heartbeat = _announced(child, environment, alias)
            yield RunningWorker(pid=child.pid, log=child.log, heartbeat=heartbeat, child=child)


def console_script() -> list[str]:
    """The program, as this environment starts it."""
    script = Path(sys.executable).with_name("rerank-bridge")
    return [str(script)] if script.is_file() else [sys.executable, "-c", COMMAND]


def _announced(child: Child, environment: Mapping[str, str], alias: str) -> Heartbeat:
    """The first heartbeat of this very process."""
    state = env.sync_redis(env.Urls.from_environment(environment).state)

    def heartbeat() -> Heartbeat | None:
        try:
            ids = [
                worker if isinstance(worker, str) else worker.decode() for worker in state.smembers(names.WORKERS_KEY)
            ]
            beats = state.mget([names.heartbeat_key(worker) for worker in ids]) if ids else []
        except redis.RedisError as exc:
            raise errors.QueueUnavailable(f"The state Redis does not answer: {exc}") from exc
        known = [Heartbeat.decode(beat) for beat in beats if beat is not None]
        return next((beat for beat in known if beat.pid == child.pid and beat.alias == alias), None)

    try:
        return process.wait_until(child, heartbeat, READY_DEADLINE_S)
    finally:
        state.close()
