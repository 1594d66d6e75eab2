"""The engine that a command speaks to, from its options and the environment."""

import contextlib
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from connector.engines.base import Engine
    from connector.settings import Settings

__all__ = ["EngineUrl", "connected", "settings"]

#: The option that every such command has.
EngineUrl = Annotated[
    str | None,
    typer.Option("--engine-url", envvar="RERANK_BRIDGE_ENGINE_URL", show_envvar=True, help="Where the engine is."),
]


def settings(engine_url: str | None) -> "Settings":
    """The process's settings, with `engine_url` in place of the environment's.

    Raises:
        ConfigurationError: a variable's value cannot be used.
    """
    from connector.settings import Settings

    override = {"RERANK_BRIDGE_ENGINE_URL": engine_url} if engine_url else {}
    return Settings.from_environment(dict(os.environ) | override)


@contextlib.asynccontextmanager
async def connected(engine_url: str | None) -> "AsyncIterator[Engine]":
    """The engine, until the context ends.

    Raises:
        ConfigurationError: a variable's value cannot be used.
        EngineError: no answer, or a refusal.
    """
    from connector import engines

    named = settings(engine_url)
    engine = await engines.connect(named.engine_url, ca_file=named.ca_file, api_key=named.api_key)
    try:
        yield engine
    finally:
        await engine.close()
