"""Connections to what an evaluation runs on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from connector import engines, scoring
from connector.contract import env
from connector.engines.base import Engine
from connector.scoring.celery_scorer import CeleryScorer
from connector.settings import Settings

__all__ = ["Connected", "connected"]

#: Scores kept in the process beside those in Redis: few, for no query comes twice.
_LOCAL_SCORES = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Connected:
    """Connections to the servers. `engine` is None where nothing has to be searched."""

    engine: Engine | None
    scorer: CeleryScorer
    urls: env.Urls


@contextlib.asynccontextmanager
async def connected(environment: Mapping[str, str], *, engine: bool) -> AsyncIterator[Connected]:
    """Connects to the servers that `environment` names.

    Raises:
        ConfigurationError: a variable's value cannot be used.
        EngineError: the engine does not answer, or refuses us.
    """
    settings = Settings.from_environment(environment)
    async with contextlib.AsyncExitStack() as stack:
        search = None
        if engine:
            search = await engines.connect(settings.engine_url, ca_file=settings.ca_file, api_key=settings.api_key)
            stack.push_async_callback(search.close)
        scorer = await stack.enter_async_context(
            scoring.connect(settings.urls, settings.hasher, local_scores=_LOCAL_SCORES)
        )
        yield Connected(engine=search, scorer=scorer, urls=settings.urls)
