"""Text searches through the main path on one engine: for commands, and for programs that build no bodies themselves."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from connector import engines, hits, schema, scoring
from connector.contract.errors import ConfigurationError
from connector.engines.base import Engine
from connector.first_stage import FirstStages, Mode
from connector.rerank import Outcome, Reranker
from connector.scoring.celery_scorer import CeleryScorer
from connector.settings import Policy, Settings

__all__ = ["Session", "connect"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """An engine and a scorer, connected."""

    engine: Engine
    scorer: CeleryScorer
    _schemas: dict[str, schema.Schema] = field(default_factory=dict)

    async def search(
        self,
        text: str,
        *,
        index: str,
        policy: Policy,
        mode: Mode = "bm25",
        size: int = 10,
        fields: Sequence[str] = (),
        vector_field: str | None = None,
        embed_model: str = "embed",
    ) -> Outcome:
        """Searches `index` for `text` and reranks.

        Control characters and lone surrogates, which no JSON holds, are spaces.

        Args:
            fields: text fields to search and to read; without any, all text fields of the mapping.
            vector_field: field of a kNN or hybrid search; without one, the first vector field of the mapping.
            embed_model: alias of the bi-encoder that embeds the query.

        Raises:
            ConfigurationError: the index has no text field, or no vector field for a kNN or hybrid search.
            EngineError: the engine does not answer, or refuses the search.
            ScoringError: the query could not be embedded; or any failure under `policy.strict`.
        """
        text, index, *fields = (hits.clean(value) for value in (text, index, *fields))
        known = await self._schema(index)
        text_fields = tuple(fields) or known.text
        if not text_fields:
            raise ConfigurationError(f"index {index} has no text field: name one with --field")
        vector = vector_field or next(iter(known.vector), None)
        if mode != "bm25" and vector is None:
            raise ConfigurationError(f"index {index} has no vector field: index it with --embed, or use --mode bm25")
        stages = FirstStages(
            engine=self.engine,
            index=index,
            fields=text_fields,
            vector_field=vector or "",
            embedder=self.scorer,
            embed_model=embed_model,
            embed_timeout=policy.deadline,
            source={"excludes": list(known.vector)} if known.vector else True,
        )
        request = await stages.request(text, mode, size=size, window=max(size, policy.window))
        send = functools.partial(stages.hybrid, text=text) if mode == "hybrid" else stages.search
        return await Reranker(self.scorer).search(
            request, policy, send, query_text=text, text_fields=tuple(name.split("^")[0] for name in text_fields)
        )

    async def _schema(self, index: str) -> schema.Schema:
        if index not in self._schemas:
            self._schemas[index] = await schema.of_index(self.engine, index)
        return self._schemas[index]


@contextlib.asynccontextmanager
async def connect(environment: Mapping[str, str]) -> AsyncIterator[Session]:
    """A session with the engine and the servers that `environment` names (see `Settings.from_environment`).

    Raises:
        ConfigurationError: a variable's value cannot be used.
        EngineError: the engine does not answer, or refuses us. Redis and workers are asked nothing yet.
    """
    settings = Settings.from_environment(environment)
    engine = await engines.connect(settings.engine_url, ca_file=settings.ca_file, api_key=settings.api_key)
    try:
        async with scoring.connect(settings.urls, settings.hasher) as scorer:
            yield Session(engine=engine, scorer=scorer)
    finally:
        await engine.close()
