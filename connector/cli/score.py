"""`rerank-bridge score`: scores of documents given on the command line or in a file, as a worker gives them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def score(
    query: Annotated[str, typer.Argument(help="The query.")],
    documents: Annotated[list[str] | None, typer.Argument(help="Documents; none: one a line of --file.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            allow_dash=True,
            help="Text file with one document a line; - for standard input.",
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Alias of the cross-encoder.")] = "default",
    deadline: Annotated[float, typer.Option(help="Seconds to wait for scores.", min=0.001, max=3600)] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of the table.")] = False,
) -> None:
    """Score documents against a query, best first."""
    import asyncio
    import json
    import sys
    import time

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from connector import fusion, hits, scoring
    from connector.contract.errors import ConfigurationError
    from connector.scoring import Scored
    from connector.settings import Settings

    texts = list(documents or [])
    if file is not None:
        source = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        texts += source.decode(errors="replace").splitlines()
    query, *texts = (hits.clean(text) for text in (query, *texts))
    texts = [text for text in texts if text.strip()]
    if not query.strip() or not texts:
        raise ConfigurationError("a query and at least one document that is not empty are needed")
    settings = Settings.from_environment(os.environ)

    async def run() -> Scored:
        async with scoring.connect(settings.urls, settings.hasher) as scorer:
            until = time.monotonic() + deadline
            return await scorer.score(model=model, query=query, documents=texts, deadline=until)

    scored = asyncio.run(run())
    if scored.failure:
        raise scored.failure
    ranked = sorted(enumerate(scored.values), key=lambda item: -(item[1] or 0.0))
    if as_json:
        scores = [{"index": i, "score": raw, "relevance": fusion.sigmoid(raw or 0.0)} for i, raw in ranked]
        typer.echo(json.dumps({"model": scored.model, "cache_hits": scored.cache_hits, "scores": scores}))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("score", "relevance", "document"):
        table.add_column(name, justify="left" if name == "document" else "right", no_wrap=True)
    for i, raw in ranked:
        table.add_row(f"{raw:.3f}", f"{fusion.sigmoid(raw or 0.0):.3f}", Text(" ".join(texts[i].split())[:80]))
    Console().print(table)
