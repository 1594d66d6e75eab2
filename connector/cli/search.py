"""`rerank-bridge search`: one search, reranked, as a table or as JSON."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

app = typer.Typer()


class Mode(StrEnum):
    """The first stage."""

    BM25 = "bm25"
    KNN = "knn"
    HYBRID = "hybrid"


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to search for.")],
    index: Annotated[str, typer.Option(help="Index, alias or pattern.")],
    mode: Annotated[Mode, typer.Option(help="First stage.")] = Mode.BM25,
    window: Annotated[int, typer.Option(help="Candidates to rerank.", min=1, max=10_000)] = 50,
    size: Annotated[int, typer.Option(help="Hits to show.", min=1, max=10_000)] = 10,
    model: Annotated[str, typer.Option(help="Alias of the cross-encoder.")] = "default",
    field: Annotated[list[str] | None, typer.Option(help="Text field to search and read; repeatable.")] = None,
    deadline: Annotated[float, typer.Option(help="Seconds to wait for scores.", min=0.001, max=3600)] = 30.0,
    strict: Annotated[bool, typer.Option(help="Fail, rather than show the engine's order, without scores.")] = False,
    engine_url: Annotated[str | None, typer.Option(help="In place of RERANK_BRIDGE_ENGINE_URL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of the table.")] = False,
) -> None:
    """Search an index and rerank the hits, with both ranks shown."""
    import asyncio
    import json

    from rich.console import Console

    from connector import hits, session
    from connector.cli import results
    from connector.contract.errors import ConfigurationError
    from connector.rerank import Outcome
    from connector.settings import Policy

    query = hits.clean(query)
    if not query.strip():
        raise ConfigurationError("the query is empty: say what to search for")
    policy = Policy(model=model, window=window, deadline=deadline, strict=strict, details=True)
    environment = dict(os.environ) | ({"RERANK_BRIDGE_ENGINE_URL": engine_url} if engine_url else {})

    async def run() -> Outcome:
        async with session.connect(environment) as connected:
            return await connected.search(
                query, index=index, policy=policy, mode=mode.value, size=size, fields=field or ()
            )

    outcome = asyncio.run(run())
    if as_json:
        typer.echo(json.dumps(results.as_values(outcome, query)))
    else:
        results.show(Console(), outcome, query)
