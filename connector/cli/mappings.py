"""`rerank-bridge mappings`: index templates with English text, a vector and metadata: install, diff, show."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli.engine import EngineUrl

if TYPE_CHECKING:
    from connector.templates import Difference

app = typer.Typer(no_args_is_help=True, help="Index templates with English text, a vector and metadata.")

Name = Annotated[str, typer.Option(help="Name of the index template on the engine.")]
Pattern = Annotated[list[str] | None, typer.Option(help="Index names it is for; repeatable.", show_default="docs-*")]
Dimensions = Annotated[int, typer.Option(min=1, max=16_000, help="Numbers in a vector.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON value in place of text.")]

_DEFAULT_NAME = "rerank-bridge"
_DEFAULT_DIMENSIONS = 384
_DIFFERENT = 1


class EngineName(StrEnum):
    """The engines that have a template."""

    ELASTICSEARCH = "elasticsearch"
    OPENSEARCH = "opensearch"


@app.command()
def install(
    engine_url: EngineUrl = None,
    name: Name = _DEFAULT_NAME,
    pattern: Pattern = None,
    dimensions: Dimensions = _DEFAULT_DIMENSIONS,
    force: Annotated[bool, typer.Option(help="Replace a template that is somebody else's.")] = False,
) -> None:
    """Install the template, or bring it up to date."""
    import asyncio

    from connector import templates
    from connector.cli.engine import connected

    async def run() -> str:
        async with connected(engine_url) as engine:
            template = _template(engine.name, engine.version, dimensions, pattern)
            changed = await templates.install(engine, name, template, force=force)
            done = "installed" if changed else "is there already, unchanged:"
            version = ".".join(map(str, engine.version))
            return (
                f"{done} index template {name} for {', '.join(template['index_patterns'])} on {engine.name} {version}"
            )

    print(asyncio.run(run()))


@app.command()
def diff(
    engine_url: EngineUrl = None,
    name: Name = _DEFAULT_NAME,
    pattern: Pattern = None,
    dimensions: Dimensions = _DEFAULT_DIMENSIONS,
    as_json: AsJson = False,
) -> None:
    """Show what the engine's template has otherwise than ours; exit code 1 when it differs or is not installed."""
    import asyncio
    import json
    from dataclasses import asdict

    from connector import templates
    from connector.cli.engine import connected

    async def run() -> "list[Difference] | None":
        async with connected(engine_url) as engine:
            present = await templates.fetch(engine, name)
            ours = _template(engine.name, engine.version, dimensions, pattern)
            return None if present is None else templates.differences(present, ours)

    found = asyncio.run(run())
    if as_json:
        differences = [asdict(difference) for difference in found or ()]
        print(json.dumps({"installed": found is not None, "differences": differences}))
    elif found is None:
        print(f"index template {name} is not installed: rerank-bridge mappings install")
    else:
        _show(found)
    if found is None or found:
        raise typer.Exit(_DIFFERENT)


@app.command()
def show(
    engine: Annotated[EngineName, typer.Option(help="Whose template.")] = EngineName.ELASTICSEARCH,
    version: Annotated[str, typer.Option(help="The engine's version, as 7.17; the newest without it.")] = "999",
    pattern: Pattern = None,
    dimensions: Dimensions = _DEFAULT_DIMENSIONS,
) -> None:
    """Print the template as JSON, without an engine."""
    import json

    from connector.contract.errors import ConfigurationError

    try:
        numbers = tuple(int(part) for part in version.split("."))
    except ValueError as exc:
        raise ConfigurationError(f"--version {version}: numbers with dots are needed, as 7.17") from exc
    print(json.dumps(_template(engine.value, numbers, dimensions, pattern), indent=2))


def _template(engine: str, version: tuple[int, ...], dimensions: int, pattern: list[str] | None) -> dict[str, Any]:
    import mappings

    return mappings.load(engine, version, dimensions=dimensions, patterns=pattern or mappings.PATTERNS)


def _show(differences: "list[Difference]") -> None:
    for difference in differences:
        if difference.engine is not None:
            print(f"- engine  {difference.path} = {difference.engine}")
        if difference.ours is not None:
            print(f"+ ours    {difference.path} = {difference.ours}")
