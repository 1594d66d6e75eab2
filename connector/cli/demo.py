"""`rerank-bridge demo`: the whole product on this machine, on real text, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector.cli.up import Engine

app = typer.Typer()

#: Asked in words that the documentation does not use.
QUERIES = (
    "how do I parse a date from a string",
    "compare two pieces of text and show what differs",
    "make a web server that serves files from a folder",
    "make a temporary folder that is removed afterwards",
    "pick a random item from a list",
)


@app.command()
def demo(
    engine: Annotated[Engine, typer.Option(help="Which search engine.")] = Engine.ELASTICSEARCH,
    model: Annotated[str | None, typer.Option(help="Cross-encoder, by name or path; else the bundled one.")] = None,
    window: Annotated[int, typer.Option(help="Candidates to rerank.", min=2, max=1000)] = 50,
    deadline: Annotated[float, typer.Option(help="Seconds to wait for scores.", min=0.001, max=3600)] = 30.0,
    once: Annotated[bool, typer.Option("--once", help="Leave after the tour; else stay up.")] = False,
    as_json: Annotated[
        Path | None,
        typer.Option("--json", dir_okay=False, writable=True, help="Write the tour as one JSON object to this file."),
    ] = None,
) -> None:
    """Bring everything up, index Python's own documentation, search it, and show before and after."""
    import asyncio
    import json

    from rich.console import Console

    from connector.cli import tour
    from connector.cli.progress import ConsoleReport
    from connector.cli.up import keep_up
    from connector.contract.errors import ConfigurationError
    from connector.embedded import process
    from connector.embedded.stack import start_stack
    from connector.settings import Policy

    if as_json and not as_json.absolute().parent.is_dir():
        raise ConfigurationError(f"--json {as_json}: there is no folder {as_json.parent}")
    console = Console()
    report = ConsoleReport(console)
    policy = Policy(window=window, deadline=deadline, details=True)
    with (
        process.stop_on_sigterm(),
        start_stack(engine=engine.value, model=model, report=report, in_memory=True) as stack,
    ):
        toured = asyncio.run(tour.run(stack, QUERIES, policy, console=console, report=report))
        if as_json:
            as_json.write_text(json.dumps(toured, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if not once:
            keep_up(console, stack)
