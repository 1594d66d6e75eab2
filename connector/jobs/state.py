"""Job records in the state Redis: what is asked, who owns it, which chunks are done, what went wrong.

`rr:job:{id}` a hash; `…:done` a bitmap by chunk; `…:failed` a hash, chunk → why; `…:bad` a hash, line → why.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from connector.contract import names
from connector.contract.errors import ConfigurationError, RerankBridgeError
from connector.jobs import records, scripts
from connector.jobs.items import Bad
from connector.jobs.parts import Part
from connector.jobs.records import Failure, Record, Status
from connector.jobs.spec import Spec

if TYPE_CHECKING:
    import redis.asyncio

__all__ = ["LeaseLost", "State", "UnknownJob"]

#: Bad lines that are shown, and that a record holds at most.
BAD_LINES = 1000
_MOST_BAD_LINES = 100_000


class LeaseLost(RerankBridgeError):
    """Another coordinator owns the job now."""


class UnknownJob(ConfigurationError):
    """There is no such job."""


class State:
    """Every read and write of job records."""

    def __init__(self, redis: redis.asyncio.Redis, *, lease: float = 10.0) -> None:
        self.redis = redis
        self._lease_ms = int(lease * 1000)
        self._scripts: dict[str, Any] = {}

    async def create(self, asked: Spec, digest: str, identities: Mapping[str, str], size: int) -> bool:
        """Adds a queued job; False where one of this id exists."""
        seconds, micros = await cast("Any", self.redis).time()
        values = {
            "spec": asked.encode(), "digest": digest, "identities": json.dumps(dict(identities)), "state": "queued",
            "created": seconds * 1000 + micros // 1000, "size": size,
        }  # fmt: skip
        created = await self._run(scripts.CREATE, [_job(asked.id)], [x for pair in values.items() for x in pair])
        await self._await(self.redis.sadd(names.JOBS_KEY, asked.id))
        return bool(created)

    async def ids(self) -> list[str]:
        """All jobs."""
        members: set[bytes] = await self._await(self.redis.smembers(names.JOBS_KEY))
        return sorted(member.decode() for member in members)

    async def read(self, job: str) -> Record:
        """One job.

        Raises:
            UnknownJob: there is none of this id.
        """
        values: dict[bytes, bytes] = await self._await(self.redis.hgetall(_job(job)))
        if not values:
            raise UnknownJob(f"there is no job {job!r}: `rerank-bridge jobs list` shows all")
        failed = await self._await(self.redis.hlen(_failed(job)))
        bad = await self._await(self.redis.hlen(_bad(job)))
        return records.read({name.decode(): value for name, value in values.items()}, failed, bad)

    async def failures(self, job: str) -> list[Failure]:
        """The chunks that were set aside, in order."""
        values: dict[bytes, bytes] = await self._await(self.redis.hgetall(_failed(job)))
        found = [Failure(chunk=int(chunk), **json.loads(value)) for chunk, value in values.items()]
        return sorted(found, key=lambda failure: failure.chunk)

    async def bad_lines(self, job: str) -> list[Bad]:
        """The lines that were passed over, the first `BAD_LINES` of them."""
        values: dict[bytes, bytes] = await self._await(self.redis.hgetall(_bad(job)))
        first = sorted((int(line), problem) for line, problem in values.items())[:BAD_LINES]
        return [Bad(line=line, problem=problem.decode()) for line, problem in first]

    async def claim(self, job: str, owner: str) -> int:
        """A fencing token, where the job is to be run and nobody has it; else 0."""
        return int(await self._run(scripts.CLAIM, [_job(job)], [owner, self._lease_ms]))

    async def renew(self, job: str, token: int, values: Mapping[str, Any]) -> Status:
        """Keeps the lease, writes `values`, and says which state is wanted.

        Raises:
            LeaseLost: another coordinator has it.
        """
        flat = [x for pair in values.items() for x in pair]
        answer = await self._run(scripts.RENEW, [_job(job)], [token, self._lease_ms, *flat])
        if answer == -1:
            raise LeaseLost(f"job {job} has another owner now")
        return cast("Status", answer.decode())

    async def mark(self, job: str, token: int, part: Part) -> None:
        """Sets a chunk's bit and adds to the counts, once.

        Raises:
            LeaseLost: another coordinator has it.
        """
        numbers = [token, part.chunk, part.queries, part.pairs, part.cached]
        if await self._run(scripts.MARK, [_job(job), _done(job), _failed(job)], numbers) == -1:
            raise LeaseLost(f"job {job} has another owner now")

    async def marked(self, job: str) -> set[int]:
        """The chunks that are done."""
        bits: bytes = await self._await(self.redis.get(_done(job))) or b""
        return {8 * i + n for i, byte in enumerate(bits) if byte for n in range(8) if byte & (0x80 >> n)}

    async def recount(self, job: str, token: int, found: Iterable[Part]) -> None:
        """Makes bitmap and counts those of the parts that are there.

        Raises:
            LeaseLost: another coordinator has it.
        """
        bits, sums = bytearray(), [0, 0, 0, 0]
        for part in found:
            bits.extend(bytes(max(0, part.chunk // 8 + 1 - len(bits))))
            bits[part.chunk // 8] |= 0x80 >> part.chunk % 8
            sums = [a + b for a, b in zip(sums, (1, part.queries, part.pairs, part.cached), strict=True)]
        if await self._run(scripts.RECOUNT, [_job(job), _done(job)], [token, bytes(bits), *sums]) == -1:
            raise LeaseLost(f"job {job} has another owner now")

    async def set_aside(self, job: str, failure: Failure) -> None:
        """Remembers that a chunk failed for good."""
        value = {"first_line": failure.first_line, "last_line": failure.last_line, "error": failure.error}
        await self._await(self.redis.hset(_failed(job), str(failure.chunk), json.dumps(value)))

    async def forgive(self, job: str) -> int:
        """Lets the chunks that were set aside be tried again; says how many."""
        count = int(await self._await(self.redis.hlen(_failed(job))))
        await self._await(self.redis.delete(_failed(job)))
        return count

    async def note_bad(self, job: str, bad: tuple[Bad, ...]) -> None:
        """Lists lines that were passed over."""
        if await self._await(self.redis.hlen(_bad(job))) < _MOST_BAD_LINES:
            problems: dict[Any, Any] = {str(each.line): each.problem for each in bad}
            await self._await(self.redis.hset(_bad(job), mapping=problems))

    async def finish(self, job: str, token: int, state: Status, values: Mapping[str, Any]) -> None:
        """Ends the job, unless it was cancelled meanwhile.

        Raises:
            LeaseLost: another coordinator has it.
        """
        flat = [x for pair in values.items() for x in pair]
        if await self._run(scripts.FINISH, [_job(job)], [token, state, "waiting", "", *flat]) == -1:
            raise LeaseLost(f"job {job} has another owner now")

    async def release(self, job: str, token: int) -> None:
        """Gives the lease back."""
        await self._run(scripts.RELEASE, [_job(job)], [token])

    async def cancel(self, job: str) -> bool:
        """Stops a job that is queued or running."""
        return bool(await self._run(scripts.CANCEL, [_job(job)], []))

    async def reopen(self, asked: Spec) -> bool:
        """Queues a job again that has ended, with the manners of `asked`."""
        return bool(await self._run(scripts.REOPEN, [_job(asked.id)], ["spec", asked.encode()]))

    async def remove(self, job: str) -> None:
        """Forgets a job."""
        for key in (_job(job), _done(job), _failed(job), _bad(job)):
            await self._await(self.redis.delete(key))
        await self._await(self.redis.srem(names.JOBS_KEY, job))

    async def _run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        if script not in self._scripts:
            self._scripts[script] = self.redis.register_script(script)
        return await self._scripts[script](keys=keys, args=arguments)

    @staticmethod
    async def _await(answer: Any) -> Any:
        return await cast("Awaitable[Any]", answer)


def _job(job: str) -> str:
    return f"{names.JOB_PREFIX}{{{job}}}"


def _done(job: str) -> str:
    return f"{_job(job)}:done"


def _failed(job: str) -> str:
    return f"{_job(job)}:failed"


def _bad(job: str) -> str:
    return f"{_job(job)}:bad"
