"""What is asked of jobs: submit, look, cancel, try again, read the results, purge. Used by the command and by HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from connector.contract import env, names
from connector.contract.errors import ConfigurationError
from connector.jobs import files, parts
from connector.jobs.records import Failure, Record, Status
from connector.jobs.spec import Spec
from connector.jobs.state import State

__all__ = ["ENDED", "INLINE", "Control", "Submitted", "connect", "values"]

ENDED: frozenset[Status] = frozenset({"done", "incomplete", "failed", "cancelled"})
#: Folder of inputs that came over HTTP.
INLINE = "inline"
_BLOCK = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """What became of a submit."""

    id: str
    #: "new", "continues" (it was there, and is queued again or under way), "done" (there is nothing to do).
    outcome: str


class Control:
    """Jobs in one state Redis; `home` is the folder that coordinators keep parts in."""

    def __init__(self, state: State, home: Path) -> None:
        self.state = state
        self._home = home

    async def submit(self, asked: Spec) -> Submitted:
        """Queues a job; of one that exists already, goes on with what is left.

        Raises:
            InputError: an input cannot be read.
            ConfigurationError: a job of this id asks for something else, or its input has changed since; the output
                exists or cannot be written.
        """
        asked = _absolute(asked)
        identities = {where: await asyncio.to_thread(files.identity, where) for where in asked.inputs}
        digest = asked.digest(identities)
        if asked.id in await self.state.ids():
            return await self._again(await self.state.read(asked.id), asked, digest, identities)
        if asked.output:
            await asyncio.to_thread(files.check_output, asked.output, overwrite=asked.overwrite)
        size = await asyncio.to_thread(files.size, asked.source)
        if not await self.state.create(asked, digest, identities, size):
            return await self._again(await self.state.read(asked.id), asked, digest, identities)
        return Submitted(id=asked.id, outcome="new")

    async def _again(self, known: Record, asked: Spec, digest: str, identities: Mapping[str, str]) -> Submitted:
        if digest != known.digest:
            changed = [where for where, old in known.identities.items() if identities.get(where, old) != old]
            if changed:
                raise ConfigurationError(
                    f"{changed[0]} has changed since job {asked.id} was submitted: take another --id, or purge that job"
                )
            raise ConfigurationError(f"job {asked.id} exists and asks for something else: take another --id")
        if known.state == "done":
            return Submitted(id=asked.id, outcome="done")
        await self.state.reopen(asked)
        return Submitted(id=asked.id, outcome="continues")

    async def records(self) -> list[Record]:
        """All jobs, the oldest first."""
        found = [await self.state.read(job) for job in await self.state.ids()]
        return sorted(found, key=lambda record: (record.created, record.spec.id))

    async def coordinators(self) -> int:
        """How many coordinators live."""
        return int(await self.state.redis.zcount(names.COORDINATORS_KEY, time.time(), "+inf"))

    async def backlog(self) -> int:
        """Chunks of all jobs that are still to be done, for autoscalers: where an input was not read to its end yet,
        by the share of it that was."""
        left = 0.0
        for record in await self.records():
            if record.state in ENDED:
                continue
            if record.chunks is not None:
                left += record.chunks - record.done
            elif record.place.offset:
                left += record.place.chunk * (record.size / record.place.offset - 1)
            else:
                left += 1
        return math.ceil(left)

    async def retry_failed(self, job: str) -> int:
        """Queues a job again whose chunks were set aside, or that failed; says how many chunks.

        Raises:
            ConfigurationError: there is no such job, or it is under way.
        """
        record = await self.state.read(job)
        if record.state not in ("incomplete", "failed"):
            raise ConfigurationError(f"job {job} is {record.state}: only what failed can be tried again")
        count = await self.state.forgive(job)
        await self.state.reopen(record.spec)
        return count

    async def cancel(self, job: str) -> bool:
        """Stops a job; False where it has ended already.

        Raises:
            ConfigurationError: there is no such job.
        """
        await self.state.read(job)
        return await self.state.cancel(job)

    async def purge(self, job: str) -> None:
        """Forgets a job and its parts; its output stays where it is.

        Raises:
            ConfigurationError: there is no such job, or it is under way.
        """
        record = await self.state.read(job)
        if record.state not in ENDED:
            raise ConfigurationError(f"job {job} is {record.state}: cancel it first")
        await asyncio.to_thread(parts.Folder(self._home, job, record.digest).remove)
        await self.state.remove(job)
        others = {other.spec.source for other in await self.records()}
        if Path(record.spec.source).parent == self._home / INLINE and record.spec.source not in others:
            await asyncio.to_thread(Path(record.spec.source).unlink, missing_ok=True)

    async def results(self, job: str, *, partial: bool = False) -> Iterator[bytes]:
        """The output, in blocks.

        Args:
            partial: what is there of a job that has not ended; chunks that are missing are left out.

        Raises:
            ConfigurationError: there is no such job, it writes no file, or it has not ended.
            InputError: the output is not there any more.
        """
        record = await self.state.read(job)
        if record.spec.output_form in ("index", "cache"):
            raise ConfigurationError(f"job {job} writes no file (--output-form {record.spec.output_form})")
        folder = parts.Folder(self._home, job, record.digest)
        if partial and record.state != "done":
            return _blocks_of_parts(folder)
        if record.state not in ("done", "incomplete"):
            raise ConfigurationError(f"job {job} is {record.state}: --partial shows what is there")
        return _blocks(record.spec.output or str(folder.result))

    async def describe(self, job: str) -> dict[str, Any]:
        """Everything that is known of a job, as JSON can hold it.

        Raises:
            ConfigurationError: there is no such job.
        """
        record = await self.state.read(job)
        failures = await self.state.failures(job)
        bad = await self.state.bad_lines(job)
        return values(record, failures) | {"bad_lines": [{"line": b.line, "problem": b.problem} for b in bad]}


@contextlib.asynccontextmanager
async def connect(environment: Mapping[str, str]) -> AsyncIterator[Control]:
    """Control over the jobs of the state Redis that `environment` names.

    Raises:
        ConfigurationError: a variable's value cannot be used.
    """
    client = env.async_redis(env.Urls.from_environment(environment).state)
    try:
        yield Control(State(client), parts.home(environment))
    finally:
        await client.aclose()


def values(record: Record, failures: list[Failure]) -> dict[str, Any]:
    """A record as JSON can hold it. Times are seconds since the Unix epoch, null where they have not come."""
    share = None
    if record.state == "done":
        share = 1.0
    elif record.chunks:
        share = record.done / record.chunks
    elif record.size:
        share = record.place.offset / record.size
    ended = record.state in ENDED
    left = record.pairs / share - record.pairs if share and not ended else None
    return {
        "id": record.spec.id,
        "state": record.state,
        "error": record.error or None,
        "waiting": (record.waiting or None) if record.state == "running" else None,
        "share": None if share is None else round(min(share, 1.0), 4),
        "chunks": record.chunks,
        "chunks_done": record.done,
        "chunks_failed": record.failed,
        "queries": record.queries,
        "pairs": record.pairs,
        "cached": record.cached,
        "retries": record.retries,
        "bad": record.bad,
        "pairs_per_second": None if ended else record.speed,
        "eta_s": round(left / record.speed, 1) if left is not None and record.speed else None,
        "model": record.model or None,
        "fingerprint": record.fingerprint or None,
        "created": record.created / 1000,
        "started": record.started / 1000 if record.started else None,
        "finished": record.finished / 1000 if record.finished else None,
        "owner": record.owner or None,
        "failures": [msgspec.to_builtins(failure) for failure in failures],
        "spec": {name: value for name, value in msgspec.to_builtins(record.spec).items() if value is not None},
    }


def _absolute(asked: Spec) -> Spec:
    return replace(
        asked,
        source=files.absolute(asked.source),
        corpus=asked.corpus and files.absolute(asked.corpus),
        queries=asked.queries and files.absolute(asked.queries),
        output=asked.output and files.absolute(asked.output),
    )


def _blocks(where: str) -> Iterator[bytes]:
    with files.opened(where) as file:
        while block := file.read(_BLOCK):
            yield block


def _blocks_of_parts(folder: parts.Folder) -> Iterator[bytes]:
    for body in folder.bodies(sorted(folder.chunks())):
        while block := body.read(_BLOCK):
            yield block
