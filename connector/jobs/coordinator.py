"""The jobs of one process: claims those that nobody runs, keeps their leases, goes on after a Redis that was away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from pathlib import Path

import redis

from connector.contract import names
from connector.jobs import stopping
from connector.jobs.running import JobRun
from connector.jobs.servers import Servers
from connector.jobs.slots import Slots
from connector.jobs.state import State, UnknownJob

__all__ = ["LEASE", "Coordinator"]

log = logging.getLogger(__name__)

#: Seconds after which the jobs of a coordinator that is gone are taken over.
LEASE = 10.0
#: Seconds between two looks for jobs.
_LOOK = 1.0


class Coordinator:
    """Runs up to `jobs` jobs at once."""

    def __init__(self, servers: Servers, home: Path, *, jobs: int = 4, lease: float = LEASE) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._state = State(servers.state, lease=lease)
        self._slots = Slots(servers.state, lease=lease)
        self._servers, self._home, self._jobs, self._lease = servers, home, jobs, lease
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self, *, until_idle: bool = False) -> None:
        """Runs jobs until cancelled, or, with `until_idle`, until none is left to run."""
        try:
            while True:
                try:
                    left = await self._round()
                except (redis.RedisError, OSError) as exc:
                    log.warning("state_unavailable", extra={"reason": str(exc)})
                    left = 1
                if until_idle and not left:
                    return
                await asyncio.sleep(_LOOK)
        finally:
            await stopping.stop(self._running.values())
            with contextlib.suppress(redis.RedisError, OSError):
                await self._servers.state.zrem(names.COORDINATORS_KEY, self.id)

    async def _round(self) -> int:
        """Starts what nobody runs; returns how many jobs are left to run, here or elsewhere."""
        for job in [job for job, task in self._running.items() if task.done()]:
            del self._running[job]
        now = time.time()
        await self._servers.state.zadd(names.COORDINATORS_KEY, {self.id: now + self._lease})
        await self._servers.state.zremrangebyscore(names.COORDINATORS_KEY, "-inf", now)
        await self._slots.renew()
        left = 0
        for job in await self._state.ids():
            if job in self._running or await self._start(job):
                left += 1
        return left

    async def _start(self, job: str) -> bool:
        """Claims a job where there is room; whether it is one that is to be run by anybody."""
        if len(self._running) < self._jobs and (token := await self._state.claim(job, self.id)):
            with contextlib.suppress(UnknownJob):
                record = await self._state.read(job)
                run = JobRun(
                    record, token, state=self._state, servers=self._servers, slots=self._slots, home=self._home
                )
                log.info("job_claimed", extra={"fields": {"job": job, "token": token}})
                self._running[job] = asyncio.create_task(self._run(job, run))
            return True
        with contextlib.suppress(UnknownJob):
            return (await self._state.read(job)).state in ("queued", "running")
        return False

    async def _run(self, job: str, run: JobRun) -> None:
        try:
            await run.run()
        except (redis.RedisError, OSError) as exc:
            log.warning("job_interrupted", extra={"fields": {"job": job}, "reason": str(exc)})
        except Exception:
            # A defect must not be retried for ever: the next claim would meet it again.
            log.exception("job_broken", extra={"fields": {"job": job}})
            await run.break_off("an unexpected error; the coordinator's log shows where")
