"""What the `jobs` commands do and show."""

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from connector.cli.jobs import Form, OutputForm
from connector.contract.errors import ConfigurationError, InputError, QueueUnavailable
from connector.jobs import control, files
from connector.jobs.control import Control
from connector.jobs.spec import Spec

T = TypeVar("T")

#: Seconds between two looks while waiting.
_LOOK = 0.5
#: What waiting for a job ends with.
_EXIT = {"done": 0, "incomplete": 4, "failed": 1, "cancelled": 1}
_HINT = "no coordinator runs: start one with `rerank-bridge jobs run`"


def guess(source: str) -> Form:
    """The form of an input, by its name or its first line.

    Raises:
        InputError: it cannot be read.
    """
    if source.endswith((".run", ".trec")):
        return Form.RUN
    with files.opened(source) as file:
        line = file.readline(1 << 20)
    if not line.lstrip(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return Form.RUN if len(line.split()) == 6 and line.split()[1].upper() == b"Q0" else Form.LOG
    return Form.DOCUMENTS if b'"documents"' in line else Form.QUERIES


def output_form(form: Form, output: str | None) -> OutputForm:
    """What is written where nothing is said: a run for a run, unless the output's name says otherwise."""
    if output and output.endswith((".jsonl", ".ndjson", ".json")):
        return OutputForm.JSONL
    return OutputForm.TREC if form is Form.RUN or (output or "").endswith((".run", ".trec")) else OutputForm.JSONL


def fresh_id(source: str) -> str:
    """An id that no other job has."""
    stem = "".join(c if c.isalnum() or c in "._-" else "-" for c in Path(source).stem).strip("._-")[:60]
    return f"{stem or 'job'}-{secrets.token_hex(4)}"


def submit(spec: Spec, *, wait: bool, as_json: bool) -> None:
    """Queues `spec`."""

    async def ask(jobs: Control) -> tuple[str, int]:
        return (await jobs.submit(spec)).outcome, await jobs.coordinators()

    outcome, coordinators = _run(ask)
    if not wait:
        said = {"new": "queued", "continues": "goes on", "done": "is done already"}[outcome]
        _say({"id": spec.id, "outcome": outcome}, f"{spec.id} {said}", as_json=as_json)
        if not coordinators and outcome != "done":
            print(_HINT, file=sys.stderr)
        return
    if not coordinators and outcome != "done":
        print(_HINT, file=sys.stderr)
    status(spec.id, wait=True, as_json=as_json)


def status(job: str, *, wait: bool, as_json: bool) -> None:
    """Shows a job, at once or when it has ended."""

    async def ask(jobs: Control) -> tuple[dict[str, Any], int]:
        return await (_until_ended(jobs, job, quiet=as_json) if wait else jobs.describe(job)), await jobs.coordinators()

    known, coordinators = _run(ask)
    if known["state"] not in control.ENDED and not coordinators:
        print(_HINT, file=sys.stderr)
    if as_json:
        print(json.dumps(known, ensure_ascii=False))
    else:
        _show(known)
    if wait and (code := _EXIT[known["state"]]):
        sys.exit(code)


def overview(*, as_json: bool) -> None:
    """Shows all jobs."""

    async def ask(jobs: Control) -> list[dict[str, Any]]:
        return [control.values(record, []) for record in await jobs.records()]

    known = _run(ask)
    if as_json:
        print(json.dumps({"jobs": known}, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("job", "state", "done", "pairs", "pairs/s", "failed chunks", "bad lines"):
        table.add_column(name, justify="left" if name in ("job", "state") else "right", no_wrap=True)
    for each in known:
        table.add_row(
            each["id"], each["state"], _percent(each["share"]), f"{each['pairs']:,}",
            f"{each['pairs_per_second'] or 0:,.0f}", str(each["chunks_failed"]), str(each["bad"]),
        )  # fmt: skip
    Console().print(table)


def cancel(job: str, *, as_json: bool) -> None:
    """Cancels a job."""
    stopped = _run(lambda jobs: jobs.cancel(job))
    _say({"id": job, "cancelled": stopped}, f"{job} {'is cancelled' if stopped else 'had ended'}", as_json=as_json)


def results(job: str, output: Path | None, *, partial: bool, as_json: bool) -> None:
    """Copies the output to a file or to standard output."""
    if as_json:
        known = _run(lambda jobs: jobs.describe(job))
        where = known["spec"].get("output")
        print(json.dumps({"id": job, "state": known["state"], "output": where, "pairs": known["pairs"]}))
        return
    blocks = _run(lambda jobs: jobs.results(job, partial=partial))
    if output is None:
        for block in blocks:
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
        return
    try:
        partial_file = output.with_name(f".{output.name}.partial")
        with partial_file.open("wb") as file:
            file.writelines(blocks)
        partial_file.replace(output)
    except OSError as exc:
        raise InputError(f"{output} cannot be written: {exc.strerror or exc}") from exc


def retry_failed(job: str, *, as_json: bool) -> None:
    """Queues a job's failed chunks again."""
    count = _run(lambda jobs: jobs.retry_failed(job))
    _say({"id": job, "chunks": count}, f"{job} goes on: {count} chunks are tried again", as_json=as_json)


def purge(job: str | None, older: float | None, *, as_json: bool) -> None:
    """Forgets one job, or those that ended long ago."""
    if (job is None) == (older is None):
        raise ConfigurationError("name a job, or --older DAYS")

    async def ask(jobs: Control) -> list[str]:
        if job is not None:
            await jobs.purge(job)
            return [job]
        before = (time.time() - (older or 0) * 86400) * 1000
        old = [r.spec.id for r in await jobs.records() if r.state in control.ENDED and r.finished < before]
        for each in old:
            await jobs.purge(each)
        return old

    gone = _run(ask)
    _say({"purged": gone}, f"{len(gone)} purged", as_json=as_json)


async def _until_ended(jobs: Control, job: str, *, quiet: bool) -> dict[str, Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TextColumn("{task.fields[said]}"), console=Console(stderr=True), disable=quiet) as bar:
        shown = bar.add_task(job, total=1.0, said="")
        while True:
            known = await jobs.describe(job)
            bar.update(shown, completed=known["share"] or 0.0, said=_line(known))
            if known["state"] in control.ENDED:
                return known
            await asyncio.sleep(_LOOK)


def _line(known: dict[str, Any]) -> str:
    if known["waiting"]:
        return f"waits: {known['waiting']}"
    parts = [f"{known['pairs']:,} pairs", f"{known['cached']:,} cached"]
    if known["pairs_per_second"]:
        parts.append(f"{known['pairs_per_second']:,.0f} pairs/s")
    if known["eta_s"] is not None:
        parts.append(f"{known['eta_s']:,.0f} s left")
    if known["chunks_failed"]:
        parts.append(f"{known['chunks_failed']} chunks failed")
    return ", ".join(parts)


def _show(known: dict[str, Any]) -> None:
    print(f"{known['id']}: {known['state']}, {_percent(known['share'])}, {_line(known)}")
    if known["error"]:
        print(f"error: {known['error']}")
    for failure in known["failures"]:
        print(f"set aside: lines {failure['first_line']} to {failure['last_line']}: {failure['error']}")
    for bad in known["bad_lines"]:
        print(f"passed over: line {bad['line']}: {bad['problem']}")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _say(value: dict[str, Any], text: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False) if as_json else text)


def _run(ask: Callable[[Control], Awaitable[T]]) -> T:
    import redis

    async def main() -> T:
        async with control.connect(os.environ) as jobs:
            return await ask(jobs)

    try:
        return asyncio.run(main())
    except redis.RedisError as exc:
        raise QueueUnavailable(f"the state Redis does not answer: {exc}") from exc
