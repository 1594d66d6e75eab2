"""`rerank-bridge init`: a starter configuration from the engine's mappings."""

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def init(
    engine_url: Annotated[str | None, typer.Option(help="The engine; in place of RERANK_BRIDGE_ENGINE_URL.")] = None,
    output: Annotated[Path, typer.Option(help="Where to write; - is standard output.")] = Path("rerank-bridge.toml"),
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
) -> None:
    """Write a commented rerank-bridge.toml with an entry for each index that has text."""
    import asyncio

    from connector.contract.errors import ConfigurationError

    if output.name != "-" and output.exists() and not force:
        raise ConfigurationError(f"{output} exists already: --force writes over it, --output names another")
    environment = dict(os.environ) | ({"RERANK_BRIDGE_ENGINE_URL": engine_url} if engine_url else {})
    text = asyncio.run(_starter(environment, output.name))
    if output.name == "-":
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"{output} cannot be written: {exc.strerror}") from exc
    typer.echo(f"Wrote {output}. Look it over, then: rerank-bridge serve --config {output}")


async def _starter(environment: dict[str, str], name: str) -> str:
    import msgspec

    from connector import engines
    from connector.proxy import starter
    from connector.settings import Settings

    settings = Settings.from_environment(environment)
    engine = await engines.connect(settings.engine_url, ca_file=settings.ca_file, api_key=settings.api_key)
    try:
        response = await engine.request("GET", "/_mapping")
        if response.status != 200:
            raise engine.refused("reading the mappings", response)
        return starter.starter(msgspec.json.decode(response.body), name="rerank-bridge.toml" if name == "-" else name)
    finally:
        await engine.close()
