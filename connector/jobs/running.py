"""One job, run by its owner: from where it stands to its output."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

import redis

from connector.contract.errors import InputError, QueueUnavailable, RerankBridgeError
from connector.contract.heartbeats import Heartbeat
from connector.jobs import chunks, files, inputs, runs, stopping
from connector.jobs.chunks import Chunk
from connector.jobs.items import Bad, Item
from connector.jobs.one_chunk import ChunkWork, OutputFailed
from connector.jobs.pace import Pace, Speed
from connector.jobs.parts import Folder
from connector.jobs.records import Record, Status
from connector.jobs.resolving import WINDOW, Resolver
from connector.jobs.servers import Servers
from connector.jobs.slots import PER_WORKER, Slots
from connector.jobs.state import LeaseLost, State

__all__ = ["JobRun"]

log = logging.getLogger(__name__)

#: Seconds between two renewals of the lease, and of what the record says of the progress.
_RENEW = 1.0
#: Chunks read ahead of those that are being scored: their documents are searched for meanwhile.
_AHEAD = 2


class JobRun:
    """One claim of a job."""

    def __init__(self, record: Record, token: int, *, state: State, servers: Servers, slots: Slots, home: Path) -> None:
        self.spec, self.token, self.record = record.spec, token, record
        self.state, self.servers, self.slots = state, servers, slots
        self.folder = Folder(home, record.spec.id, record.digest)
        self.resolver = Resolver(record.spec, servers.engine, servers.embedder, self.folder.path)
        self.pace, self.speed = Pace(record.spec.rate), Speed()
        self.fingerprint = record.fingerprint
        self.retries = record.retries
        self._place, self._finished = record.place, dict[int, chunks.Place]()
        self._waiting = ""
        self._own_limit = asyncio.Semaphore(record.spec.max_in_flight or 1 << 30)

    async def run(self) -> None:
        """Runs until the job ends, is cancelled, or has another owner.

        Raises:
            redis.RedisError: the state Redis does not answer: to be claimed again, and gone on with.
        """
        work = asyncio.create_task(self._work())
        job = self.spec.id
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=_RENEW)
                if await self.state.renew(job, self.token, self._progress()) != "running":
                    log.info("job_stopped", extra={"fields": {"job": job}})
                    return
            await self._end(work)
        except LeaseLost:
            log.warning("job_lease_lost", extra={"fields": {"job": job}})
        finally:
            await stopping.stop([work])
            self.resolver.close()
            with contextlib.suppress(redis.RedisError):
                await self.state.release(job, self.token)

    async def break_off(self, reason: str) -> None:
        """Ends the job as failed."""
        with contextlib.suppress(redis.RedisError, LeaseLost):
            await self.state.finish(self.spec.id, self.token, "failed", {"error": reason})

    def limit(self) -> int:
        """Chunks of all jobs that may be under way on this job's model."""
        live = len(self.servers.directory.live(self.fingerprint))
        self._waiting = "" if live else self._absence()
        return PER_WORKER * live

    def finished(self, chunk: Chunk) -> None:
        """Moves the place up to which everything is done."""
        self._finished[chunk.number] = chunk.after
        while (after := self._finished.pop(self._place.chunk, None)) is not None:
            self._place = after

    async def _end(self, work: asyncio.Task[int]) -> None:
        job = self.spec.id
        try:
            total = work.result()
            failures = await self.state.failures(job)
            outcome: Status = "incomplete" if failures else "done"
            await self.state.finish(job, self.token, outcome, {"chunks": total, **self._progress()})
            if not failures:
                await asyncio.to_thread(self.folder.drop_parts)
        except LeaseLost:
            raise
        except RerankBridgeError as exc:
            log.warning("job_failed", extra={"fields": {"job": job}, "reason": str(exc)})
            await self.state.finish(job, self.token, "failed", {**self._progress(), "error": str(exc)})

    async def _work(self) -> int:
        """Does every chunk and writes the output; returns how many chunks there are."""
        await self._verify()
        self.folder.make()
        self.record = await self._reconciled()
        await self._pin()
        await self.resolver.open()
        total = await self._do_all()
        await asyncio.to_thread(self._publish, total)
        return total

    async def _do_all(self) -> int:
        done = await self.state.marked(self.spec.id)
        aside = {failure.chunk for failure in await self.state.failures(self.spec.id)}
        tasks: set[asyncio.Task[None]] = set()
        total = self._place.chunk
        try:
            async for chunk in self._chunks():
                await self.tolerate(chunk.bad)
                if not chunk.items:
                    continue
                total = chunk.number + 1
                if chunk.number in done:
                    self.finished(chunk)
                elif chunk.number not in aside:
                    await self._room(tasks)
                    tasks.add(asyncio.create_task(self._one(chunk)))
            await asyncio.gather(*tasks)
        except InputError:
            # What was begun is finished and kept.
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        finally:
            await stopping.stop(tasks)
        return total

    async def _one(self, chunk: Chunk) -> None:
        async with self._own_limit:
            if await ChunkWork(self, chunk).done():
                self.finished(chunk)

    async def _room(self, tasks: set[asyncio.Task[None]]) -> None:
        """Waits until another chunk may be begun; raises what an earlier one raised."""
        while True:
            for task in [task for task in tasks if task.done()]:
                tasks.remove(task)
                task.result()
            if len(tasks) < max(self.limit(), PER_WORKER) + _AHEAD:
                return
            await asyncio.wait(tasks, timeout=_RENEW, return_when=asyncio.FIRST_COMPLETED)

    async def tolerate(self, bad: tuple[Bad, ...]) -> None:
        """Lists lines that cannot be used.

        Raises:
            InputError: names the first of them, where the job does not pass them over.
        """
        if bad and not self.spec.skip_bad:
            raise InputError.at(self.spec.source, bad[0].line, bad[0].problem)
        if bad:
            await self.state.note_bad(self.spec.id, bad)

    async def _chunks(self) -> AsyncIterator[Chunk]:
        place = self._place
        with files.opened(self.spec.source, offset=place.offset) as file:
            entries = self._entries(file)
            cut = chunks.cut(entries, tokens=self.spec.chunk_tokens, start=place)
            while chunk := await asyncio.to_thread(self._next, cut):
                yield chunk

    def _next(self, cut: Iterator[Chunk]) -> Chunk | None:
        try:
            return next(cut, None)
        except OSError as exc:
            raise InputError(f"{self.spec.source} cannot be read: {exc.strerror or exc}") from exc

    def _entries(self, file: BinaryIO) -> Iterator[Item | Bad]:
        spec, line, offset = self.spec, self._place.line, self._place.offset
        if spec.form == "run":
            return runs.read(file, line=line, offset=offset, window=spec.window)
        window = spec.window if spec.form == "documents" else spec.window or WINDOW
        return inputs.read(spec.form, file, line=line, offset=offset, index=spec.index, window=window)

    async def _verify(self) -> None:
        for where, known in self.record.identities.items():
            if await asyncio.to_thread(files.identity, where) != known:
                raise InputError(f"{where} has changed since the job was submitted: submit it under another --id")

    async def _reconciled(self) -> Record:
        """Takes the parts on disk as what is done, where Redis says otherwise: it may have lost its last second."""
        job = self.spec.id
        there = set(await asyncio.to_thread(lambda: list(self.folder.chunks())))
        if there != await self.state.marked(job):
            found = await asyncio.to_thread(lambda: [self.folder.part(chunk) for chunk in there])
            await self.state.recount(job, self.token, found)
        record = await self.state.read(job)
        if any(chunk not in there for chunk in range(record.place.chunk)):
            self._place = chunks.Place()
        return record

    async def _pin(self) -> None:
        """Settles on a model, once: waits until a worker has announced one."""
        while not self.fingerprint:
            beat: Heartbeat | None = None
            with contextlib.suppress(QueueUnavailable):
                beat = await self.servers.directory.resolve(self.spec.model)
            if beat is None:
                self._waiting = f"no worker has ever announced the model {self.spec.model!r}"
                await asyncio.sleep(_RENEW)
                continue
            self.fingerprint = beat.fingerprint
            values = {"fingerprint": beat.fingerprint, "model": beat.model}
            await self.state.renew(self.spec.id, self.token, values)

    def _absence(self) -> str:
        newer = [beat for beat in self.servers.directory.workers() if beat.alias == self.spec.model]
        if newer:
            return (
                f"the job began with model {self.fingerprint[:12]}, and workers run {newer[-1].fingerprint[:12]} now: "
                "start a worker with the old one, or purge the job and submit it again"
            )
        return f"no live worker serves model {self.fingerprint[:12]}"

    def _publish(self, total: int) -> None:
        if self.spec.output_form in ("index", "cache"):
            return
        try:
            result = self.folder.assemble(total)
            if self.spec.output:
                files.publish(result, self.spec.output)
        except OSError as exc:
            where = self.spec.output or str(self.folder.result)
            raise OutputFailed(f"{where} cannot be written: {exc.strerror or exc}") from exc

    def _progress(self) -> dict[str, str | int | float]:
        return {
            "place_chunk": self._place.chunk, "place_offset": self._place.offset, "place_line": self._place.line,
            "speed": self.speed.now(), "retries": self.retries, "waiting": self._waiting,
        }  # fmt: skip
