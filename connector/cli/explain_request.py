"""`rerank-bridge explain-request`: what would be done with a search request, and why."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def explain_request(
    file: Annotated[
        Path,
        typer.Argument(help="A request: `POST /index/_search?params`, header lines if any, then the body. `-`: stdin."),
    ],
    config: Annotated[
        Path | None, typer.Option(envvar="RERANK_BRIDGE_CONFIG", help="Policies by index: rerank-bridge.toml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a search in place of the text.")] = False,
) -> None:
    """Tell whether a search would be reranked, by which question, over which hits; nothing is sent."""
    import sys

    import msgspec
    from rich.console import Console

    from connector.cli import explained
    from connector.contract.errors import InputError
    from connector.policies import Policies, load
    from connector.proxy import explain

    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as exc:
        raise InputError(f"{file} cannot be read: {exc.strerror}") from exc
    written = explain.read(raw.decode(errors="surrogateescape"))
    explanations = explain.explain(written, load(config) if config else Policies.everything())
    if as_json:
        for explanation in explanations:
            print(msgspec.json.encode(explanation).decode())
        return
    console = Console(highlight=False)
    for place, explanation in enumerate(explanations, start=1):
        title = f"search {place} of {len(explanations)}" if len(explanations) > 1 else ""
        explained.show(console, explanation, title)
