"""`rerank-bridge index`: loads JSON lines into an index, with vectors when asked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.engine import EngineUrl

if TYPE_CHECKING:
    from connector.cli.loading import Job
    from connector.indexing import Loaded

app = typer.Typer()

_REFUSED = 3


@app.command()
def index(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, one document a line; - is standard input.")],
    into: Annotated[str, typer.Option("--index", help="The index; created when it is not there.")],
    embed: Annotated[bool, typer.Option("--embed", help="Add a vector of each text, from an embed worker.")] = False,
    embed_model: Annotated[str, typer.Option(help="Alias of the embed worker.")] = "embed",
    id_field: Annotated[str, typer.Option(help="The member that is the document's id.")] = "_id",
    text_field: Annotated[
        list[str] | None, typer.Option(help="A member with text; repeatable.", show_default="title, text")
    ] = None,
    vector_field: Annotated[str, typer.Option(help="Where vectors go.")] = "vector",
    dimensions: Annotated[
        int, typer.Option(min=1, max=16_000, help="Vector length of a new index, without --embed.")
    ] = 384,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Documents a request (and at most 5 MB).")] = 500,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on after a line that is no document.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier run on this file ended.")] = False,
    engine_url: EngineUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of text.")] = False,
) -> None:
    """Index documents (BEIR layout: _id, title, text and any metadata). Running it again changes nothing.

    Exit code 3 when the engine refused documents: the others are indexed, and each refusal is told with its line.
    """
    import asyncio
    import sys

    from connector.cli import loading
    from connector.contract.errors import ConfigurationError, InputError
    from connector.indexing import Shape

    job = loading.Job(
        index=into,
        file=file,
        shape=Shape(
            id_field=id_field,
            text_fields=tuple(text_field or ("title", "text")),
            replaced=vector_field if embed else None,
        ),
        embed_model=embed_model if embed else None,
        vector_field=vector_field,
        dimensions=dimensions,
        batch=batch,
        skip_bad=skip_bad,
        resume=resume,
        engine_url=engine_url,
    )
    if resume and job.from_stdin:
        raise ConfigurationError("standard input cannot be gone back to: --resume needs a file")
    loaded = asyncio.run(loading.run(job))
    _tell(job, loaded, as_json=as_json)
    if loaded.error:
        raise loaded.error
    if loaded.stopped_at:
        advice = "everything before it is indexed; mend it and go on with --resume, or pass it over with --skip-bad"
        raise InputError.at(job.source, loaded.stopped_at.line, f"{loaded.stopped_at.problem} ({advice})")
    if loaded.refused:
        sys.exit(_REFUSED)


def _tell(job: "Job", loaded: "Loaded", *, as_json: bool) -> None:
    if as_json:
        import json

        print(json.dumps(_values(job, loaded), ensure_ascii=False))
        return
    import sys

    for bad in loaded.bad:
        print(f"skipped: {job.source}, line {bad.line}: {bad.problem}", file=sys.stderr)
    for failure in loaded.failures:
        print(f"refused: {job.source}, line {failure.line}: {failure.id}: {failure.reason}", file=sys.stderr)
    untold = loaded.refused - len(loaded.failures) + loaded.skipped - len(loaded.bad)
    if untold:
        print(f"… and {untold:,} more", file=sys.stderr)
    parts = [f"{loaded.documents:,} documents indexed into {job.index}"]
    parts += [f"{loaded.refused:,} refused"] * bool(loaded.refused) + [f"{loaded.skipped:,} skipped"] * bool(
        loaded.skipped
    )
    print(f"{', '.join(parts)} in {loaded.seconds:.1f} s ({loaded.per_second:,.0f} a second)")


def _values(job: "Job", loaded: "Loaded") -> dict[str, object]:
    from dataclasses import asdict

    return {
        "index": job.index,
        "documents": loaded.documents,
        "refused": loaded.refused,
        "skipped": loaded.skipped,
        "seconds": round(loaded.seconds, 3),
        "documents_per_second": round(loaded.per_second, 1),
        "lines": loaded.line,
        "failures": [asdict(failure) for failure in loaded.failures],
        "bad_lines": [{"line": bad.line, "problem": bad.problem} for bad in loaded.bad],
    }
