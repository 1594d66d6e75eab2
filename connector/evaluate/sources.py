"""Where candidates come from: a search of the engine (ours or the site's own body), or an existing run file."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from connector import hits, page, pieces
from connector.contract.errors import ConfigurationError, EngineRefused, InputError
from connector.engines.base import Engine, EngineResponse
from connector.evaluate.runs import Scores
from connector.first_stage import FirstStages, Mode
from connector.page import Hit
from connector.settings import TextTemplate

__all__ = ["BodySource", "Found", "RunSource", "SearchSource", "Source", "found_in", "read_body"]

PLACEHOLDER = "{{query}}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A query's candidates as the first stage ranks them."""

    ids: tuple[str, ...]
    scores: tuple[float | None, ...]
    texts: tuple[str | None, ...]
    #: Seconds that the first stage took.
    seconds: float


class Source(Protocol):
    """A first stage."""

    async def find(self, query_id: str, query: str, size: int) -> Found:
        """The best `size` documents for `query`.

        Raises:
            EngineError: the engine does not answer, or refuses the search.
        """
        ...


def found_in(response: EngineResponse, template: TextTemplate, fields: Sequence[str], seconds: float) -> Found:
    """The candidates of a search response. Of a document that is in it twice (two indices, say) the first counts.

    Raises:
        EngineRefused: the response cannot be read.
    """
    first: dict[str, Hit] = {}
    try:
        for hit in page.read(response.body).hits:
            first.setdefault(hit.identity[1], hit)
    except pieces.Unreadable as exc:
        raise EngineRefused(
            f"the engine's response cannot be taken apart: {exc}", status=response.status, body=response.body
        ) from exc
    kept = list(first.values())
    return Found(
        ids=tuple(first),
        scores=tuple(hit.score for hit in kept),
        texts=tuple(hits.texts(kept, template, fields)),
        seconds=seconds,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSource:
    """BM25, kNN or hybrid, as the connector searches."""

    stages: FirstStages
    mode: Mode
    template: TextTemplate

    async def find(self, query_id: str, query: str, size: int) -> Found:  # noqa: ARG002  the protocol's names
        """See `Source.find`."""
        started = time.monotonic()
        request = await self.stages.request(query, self.mode, size=size, window=size)
        if self.mode == "hybrid":
            response = await self.stages.hybrid(request, text=query)
        else:
            response = await self.stages.search(request)
        return found_in(response, self.template, self.stages.fields, time.monotonic() - started)


@dataclass(frozen=True, kw_only=True, slots=True)
class BodySource:
    """A search body of the site's own, with the query's text in the place of `{{query}}`."""

    engine: Engine
    index: str
    body: Mapping[str, Any]
    template: TextTemplate
    fields: Sequence[str]

    async def find(self, query_id: str, query: str, size: int) -> Found:  # noqa: ARG002  the protocol's names
        """See `Source.find`."""
        body = _filled(self.body, query) | {"from": 0, "size": size}
        started = time.monotonic()
        response = await self.engine.search(self.index, json.dumps(body).encode())
        return found_in(response, self.template, self.fields, time.monotonic() - started)


def read_body(path: Path) -> Mapping[str, Any]:
    """A search body from a JSON file.

    Raises:
        ConfigurationError: no JSON object, or no string in it holds `{{query}}`.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"--search {path}: {exc}") from exc
    if not isinstance(body, dict) or PLACEHOLDER not in json.dumps(body):
        raise ConfigurationError(f"--search {path}: a JSON object in which {PLACEHOLDER} stands for the query's text")
    return body


def _filled(value: Any, query: str) -> Any:
    match value:
        case str():
            return value.replace(PLACEHOLDER, query)
        case list():
            return [_filled(element, query) for element in value]
        case dict():
            return {key: _filled(element, query) for key, element in value.items()}
        case _:
            return value


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSource:
    """A run file of another system, its documents' texts from the corpus or the index."""

    path: Path
    scores: Scores
    #: Of every document of the run that exists; None for one without text.
    texts: Mapping[str, str | None]

    async def find(self, query_id: str, query: str, size: int) -> Found:  # noqa: ARG002  the protocol's names
        """See `Source.find`. A query that the run does not answer has no candidates.

        Raises:
            InputError: a document of the run does not exist.
        """
        best = dict(list(self.scores.get(query_id, {}).items())[:size])
        for document in best:
            if document not in self.texts:
                raise InputError(f"{self.path}: document {document!r} of query {query_id!r} does not exist")
        return Found(
            ids=tuple(best),
            scores=tuple(best.values()),
            texts=tuple(self.texts[document] for document in best),
            seconds=0.0,
        )
