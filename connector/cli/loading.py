"""What `rerank-bridge index` does: opens the file and the engine, loads, shows a bar, remembers the place."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from connector import engines, indexing, scoring, templates
from connector.cli.engine import settings
from connector.contract.errors import ConfigurationError
from connector.engines.base import Engine
from connector.indexing import Embedding, Loaded, Shape, checkpoint, lines
from connector.indexing.checkpoint import Checkpoint
from connector.settings import Settings

__all__ = ["Job", "run"]

#: Seconds in which an embed worker says how long its vectors are.
_EMBED_TIMEOUT = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """The command's options."""

    index: str
    file: Path
    shape: Shape
    #: Alias of the embed worker; None: no vectors are made.
    embed_model: str | None
    vector_field: str
    dimensions: int
    batch: int
    skip_bad: bool
    resume: bool
    engine_url: str | None

    @property
    def source(self) -> str:
        """How messages call the file."""
        return "standard input" if self.from_stdin else str(self.file)

    @property
    def from_stdin(self) -> bool:
        """Whether the documents come from standard input."""
        return str(self.file) == "-"


async def run(job: Job) -> Loaded:
    """Loads the documents.

    Raises:
        ConfigurationError: the file cannot be read, or the index has no field for the vectors.
        EngineError, ScoringError: engine or embed worker failed before the first document was sent.
    """
    named = settings(job.engine_url)
    async with contextlib.AsyncExitStack() as stack:
        file = stack.enter_context(_opened(job))
        engine = await engines.connect(named.engine_url, ca_file=named.ca_file, api_key=named.api_key)
        stack.push_async_callback(engine.close)
        embedding = await stack.enter_async_context(_embedding(job, named))
        created = await _prepared(engine, job, embedding)
        place = None if job.from_stdin else _checkpoint(engine, job)
        line, offset = place.read(file) if place and job.resume and not created else (0, 0)
        if offset:
            file.seek(offset)
            print(f"going on after line {line:,}", file=sys.stderr)
        show = stack.enter_context(_bar(file, offset, from_stdin=job.from_stdin))

        def progress(loaded: Loaded) -> None:
            show(loaded)
            if place and loaded.offset:
                _remember(place, file, loaded)

        loaded = await indexing.load(
            engine,
            job.index,
            lines.read(file, job.shape, line=line, offset=offset),
            embedding=embedding,
            batch=job.batch,
            skip_bad=job.skip_bad,
            progress=progress,
        )
        if not loaded.offset:
            loaded.line, loaded.offset = line, offset
        if loaded.documents:
            await indexing.refresh(engine, job.index)
        return loaded


@contextlib.contextmanager
def _opened(job: Job) -> Iterator[BinaryIO]:
    if job.from_stdin:
        yield sys.stdin.buffer
        return
    try:
        file = job.file.open("rb")
    except OSError as exc:
        raise ConfigurationError(f"{job.file} cannot be read: {exc.strerror}") from exc
    with file:
        yield file


@contextlib.asynccontextmanager
async def _embedding(job: Job, named: Settings) -> AsyncIterator[Embedding | None]:
    if job.embed_model is None:
        yield None
        return
    async with scoring.connect(named.urls, named.hasher) as scorer:
        yield Embedding(embedder=scorer, field=job.vector_field, model=job.embed_model)


async def _prepared(engine: Engine, job: Job, embedding: Embedding | None) -> bool:
    """Whether the index was created now. Into one that was there the vectors must fit, or none would be taken."""
    dimensions = await _dimensions(embedding) if embedding else job.dimensions
    created = await templates.create_index(
        engine, job.index, dimensions=dimensions, text_fields=job.shape.text_fields, vector_field=job.vector_field
    )
    if embedding and not created:
        there = await templates.vector_dimensions(engine, job.index, job.vector_field)
        if there != dimensions:
            has = f"vectors of {there}" if there else "no vector field of that name"
            raise ConfigurationError(
                f"index {job.index} has {has}, field {job.vector_field}; model {embedding.model} makes {dimensions} "
                "numbers: take another --index or --vector-field"
            )
    return created


async def _dimensions(embedding: Embedding) -> int:
    import time

    deadline = time.monotonic() + _EMBED_TIMEOUT
    [vector] = await embedding.embedder.embed(["length"], deadline=deadline, model=embedding.model)
    return len(vector)


def _checkpoint(engine: Engine, job: Job) -> Checkpoint:
    return Checkpoint.of(checkpoint.folder(os.environ), source=job.file, engine_url=engine.url, index=job.index)


def _remember(place: Checkpoint, file: BinaryIO, loaded: Loaded) -> None:
    # A home that cannot be written costs --resume, not the load.
    with contextlib.suppress(OSError):
        place.write(file, line=loaded.line, offset=loaded.offset)


@contextlib.contextmanager
def _bar(file: BinaryIO, offset: int, *, from_stdin: bool) -> Iterator[Callable[[Loaded], None]]:
    """A bar on standard error over the file's bytes; without a terminal nothing is shown."""
    console = Console(stderr=True)
    total = None if from_stdin else os.fstat(file.fileno()).st_size
    columns = (
        TextColumn("{task.fields[counts]}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total, completed=offset, counts="indexing")

        def show(loaded: Loaded) -> None:
            counts = f"{loaded.documents:,} documents · {loaded.per_second:,.0f}/s"
            if loaded.refused:
                counts += f" · {loaded.refused:,} refused"
            progress.update(task, completed=loaded.offset, counts=counts)

        yield show
