"""One chunk: resolve, score, order, store; try again what may succeed, set aside what will not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from connector.contract import errors
from connector.contract.errors import EngineRefused, EngineUnavailable, RerankBridgeError
from connector.indexing import bulk
from connector.indexing.bulk import Backoff
from connector.indexing.lines import Document as Indexed
from connector.jobs import ordering
from connector.jobs.chunks import Chunk
from connector.jobs.items import Bad
from connector.jobs.ordering import Answer
from connector.jobs.parts import Part
from connector.jobs.records import Failure
from connector.jobs.resolving import Resolved
from connector.jobs.scoring import Asked, Kept, WorkerLost

if TYPE_CHECKING:
    from connector.jobs.running import JobRun

__all__ = ["ChunkWork", "OutputFailed"]

log = logging.getLogger(__name__)

#: What passes: nobody is to blame, and it is waited for however long.
_PASSING = (errors.NoWorker, errors.QueueUnavailable, errors.Shed, errors.CircuitOpen, EngineUnavailable)
_BUSY = (429, 502, 503, 504)
#: A worker that went away is this share of a failure: mostly the chunk is not why.
_LOST = 0.5
_BACKOFF = Backoff(first=0.5, longest=15.0)
_DOCUMENTS = 500


class OutputFailed(RerankBridgeError):
    """The output cannot be written."""


class ChunkWork:
    """The attempts at one chunk. What an attempt has brought is kept for the next."""

    def __init__(self, run: JobRun, chunk: Chunk) -> None:
        self._run, self._chunk = run, chunk
        self._resolved: list[Resolved] | None = None
        self._bad: list[Bad] = []
        self._kept = Kept()

    async def done(self) -> bool:
        """Does the chunk; False where it had to be set aside.

        Raises:
            InputError: something in it cannot be used, and the job does not pass it over.
            OutputFailed: the disk does not take its part.
            LeaseLost: another coordinator has the job.
            redis.RedisError: the state Redis does not answer.
        """
        blame, attempt = 0.0, 0
        while True:
            try:
                answers = await self._attempt()
                break
            except (errors.ScoringError, errors.EngineError, errors.WireError) as exc:
                blame += _blame(exc)
                if blame >= self._run.spec.attempts:
                    await self._set_aside(exc)
                    return False
                log.warning(
                    "chunk_retried",
                    extra={"fields": {"job": self._run.spec.id, "chunk": self._chunk.number}, "reason": str(exc)},
                )
            self._run.retries += 1
            await asyncio.sleep(_BACKOFF.wait(attempt))
            attempt += 1
        await self._store(answers)
        return True

    async def _attempt(self) -> list[Answer]:
        if self._resolved is None:
            await self._resolve()
            await self._run.tolerate(tuple(self._bad))
        resolved = self._resolved or []
        scores = await self._scores(resolved)
        answers = [
            ordering.order(each.id, each.query, each.documents, values, self._run.spec.fusion)
            for each, values in zip(resolved, scores, strict=True)
        ]
        if self._run.spec.into:
            await self._write_back(answers)
        return answers

    async def _resolve(self) -> None:
        found: list[Resolved] = []
        self._bad = []
        for item in self._chunk.items:
            resolved, bad = await self._run.resolver.resolve(item)
            found += [resolved] if resolved else []
            self._bad += bad
        self._resolved = found

    async def _scores(self, resolved: Sequence[Resolved]) -> list[list[float | None]]:
        """For each item the scores of its first `window` documents; None where one has no text."""
        run, window = self._run, self._run.spec.window
        asked = [
            Asked(query=each.query, documents=[d.text for d in each.documents[:window] if d.text]) for each in resolved
        ]
        asked_for = [each for each in asked if each.documents]
        values: list[list[float]] = []
        if asked_for:
            await run.pace.wait(sum(len(each.documents) for each in asked_for))
            member = f"{run.spec.id}:{run.token}:{self._chunk.number}"
            async with run.slots.held(run.fingerprint, member, run.limit):
                values = await run.servers.scorer.score(
                    asked_for, fingerprint=run.fingerprint, passages=run.spec.passages, kept=self._kept
                )
        arriving = iter([value for each in values for value in each])
        return [[next(arriving) if d.text else None for d in each.documents[:window]] for each in resolved]

    async def _write_back(self, answers: Sequence[Answer]) -> None:
        assert self._run.spec.into
        documents = [
            Indexed(id=a.id, source=ordering.upsert(a, job=self._run.spec.id), text="", line=0, end=0) for a in answers
        ]
        engine = await self._run.servers.engine()
        for start in range(0, len(documents), _DOCUMENTS):
            part = documents[start : start + _DOCUMENTS]
            for failure in await bulk.send(engine, self._run.spec.into, part, backoff=Backoff(), upsert=True):
                raise EngineRefused(f"{self._run.spec.into}, {failure.id}: {failure.reason}", status=400)

    async def _store(self, answers: Sequence[Answer]) -> None:
        run = self._run
        scored = sum(placed.score is not None for answer in answers for placed in answer.placed)
        part = Part(chunk=self._chunk.number, queries=len(answers), pairs=scored, cached=self._kept.cached or 0)
        try:
            await asyncio.to_thread(run.folder.write, part, self._body(answers))
        except OSError as exc:
            raise OutputFailed(f"{run.folder.path} cannot be written: {exc.strerror or exc}") from exc
        await run.state.mark(run.spec.id, run.token, part)
        run.speed.add(scored)

    def _body(self, answers: Sequence[Answer]) -> bytes:
        spec = self._run.spec
        if spec.output_form == "jsonl":
            return b"".join(ordering.json_line(answer, texts=spec.texts) for answer in answers)
        if spec.output_form == "trec":
            return b"".join(ordering.trec_lines(answer, spec.tag) for answer in answers)
        return b""

    async def _set_aside(self, exc: RerankBridgeError) -> None:
        first, last = self._chunk.items[0].line, self._chunk.items[-1].last
        log.warning(
            "chunk_set_aside",
            extra={"fields": {"job": self._run.spec.id, "chunk": self._chunk.number}, "reason": str(exc)},
        )
        await self._run.state.set_aside(
            self._run.spec.id,
            Failure(chunk=self._chunk.number, first_line=first, last_line=last, error=f"{type(exc).__name__}: {exc}"),
        )


def _blame(exc: RerankBridgeError) -> float:
    """How much of a failure of the chunk this is."""
    if isinstance(exc, _PASSING) or (isinstance(exc, EngineRefused) and exc.status in _BUSY):
        return 0.0
    return _LOST if isinstance(exc, WorkerLost) else 1.0
