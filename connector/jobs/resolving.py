"""The documents of an item, with their texts: as given, searched for, or looked up by id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from connector import hits, page, pieces, query, schema
from connector.contract.errors import ConfigurationError, EngineRefused
from connector.engines.base import Engine, EngineResponse
from connector.first_stage import FirstStages
from connector.jobs import lookup
from connector.jobs.items import Bad, Document, Item
from connector.jobs.spec import Spec
from connector.scoring.base import Embedder
from connector.settings import Policy, TextTemplate

__all__ = ["Resolved", "Resolver"]

#: Candidates of a search, where the job names no window.
WINDOW = 50
_IDS = 1000
#: Answers of an engine that say that the search itself is wrong.
_WRONG = (400, 404)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """An item whose documents are known. Those without text are None's, and are not scored."""

    id: str
    query: str
    documents: tuple[Document, ...]


class Resolver:
    """Resolves the items of one job. `connect` gives the engine, which is asked only where a job needs it."""

    def __init__(self, spec: Spec, connect: Callable[[], Awaitable[Engine]], embedder: Embedder, folder: Path) -> None:
        self._spec = spec
        self._connect = connect
        self._embedder = embedder
        self._folder = folder
        self._template = TextTemplate(fields=tuple(name.split("^")[0] for name in spec.fields))
        self._lines: dict[str, lookup.Lines] = {}
        self._schemas: dict[str, schema.Schema] = {}
        self._disk = asyncio.Lock()

    async def open(self) -> None:
        """Prepares what the job needs: look-up files, the index's mapping.

        Raises:
            InputError: a corpus or queries file cannot be used.
            ConfigurationError: the index has no field to search.
            EngineError: no answer, or no such index.
        """
        for where in {self._spec.corpus, self._spec.queries} - {None}:
            assert where
            self._lines[where] = await asyncio.to_thread(lookup.build, where, self._folder)
        if self._spec.index and self._spec.form != "msearch":
            found = await self._schema(self._spec.index)
            if not (self._spec.fields or found.text):
                raise ConfigurationError(f"index {self._spec.index} has no text field: name one with --field")
            if self._spec.mode != "bm25" and not (self._spec.vector_field or found.vector):
                raise ConfigurationError(f"index {self._spec.index} has no vector field: use --mode bm25")

    def close(self) -> None:
        """Lets go of files."""
        for each in self._lines.values():
            each.close()

    async def resolve(self, item: Item) -> tuple[Resolved | None, list[Bad]]:
        """The item's documents, and what of it cannot be used; None where nothing is left.

        Raises:
            EngineError: no answer, or a refusal that is not the item's fault.
            ScoringError: the query could not be embedded.
        """
        if item.request is not None:
            return await self._requested(item)
        if item.documents is None:
            return Resolved(id=item.id, query=item.query, documents=await self._searched(item.query)), []
        if self._spec.form == "run":
            return await self._looked_up(item, item.documents)
        return Resolved(id=item.id, query=item.query, documents=item.documents), []

    async def _searched(self, text: str) -> tuple[Document, ...]:
        assert self._spec.index
        found = await self._schema(self._spec.index)
        stages = FirstStages(
            engine=await self._connect(),
            index=self._spec.index,
            fields=self._spec.fields or found.text,
            vector_field=self._spec.vector_field or next(iter(found.vector), ""),
            embedder=self._embedder,
            source={"excludes": list(found.vector)} if found.vector else True,
        )
        window = self._spec.window or WINDOW
        request = await stages.request(text, self._spec.mode, size=window, window=window)
        if self._spec.mode == "hybrid":
            response = await stages.hybrid(request, text=text)
        else:
            response = await stages.search(request)
        return self._documents(response, found.text)

    async def _requested(self, item: Item) -> tuple[Resolved | None, list[Bad]]:
        assert item.request
        engine = await self._connect()
        try:
            found = await self._schema(item.request.index)
            policy = Policy(window=self._spec.window or WINDOW, text=self._template)
            plan = query.plan(item.request, policy, text_fields=found.text)
            if isinstance(plan, query.Skip):
                return None, [Bad(line=item.line, problem=f"not reranked: {plan.sentence}")]
            response = await engine.search(plan.request.index, plan.request.body, plan.request.params)
        except EngineRefused as exc:
            if exc.status in _WRONG:
                return None, [Bad(line=item.line, problem=str(exc))]
            raise
        documents = self._documents(response, plan.fields or found.text)[: plan.window]
        return Resolved(id=item.id, query=plan.query, documents=documents), []

    async def _looked_up(self, item: Item, wanted: Sequence[Document]) -> tuple[Resolved | None, list[Bad]]:
        assert self._spec.queries
        async with self._disk:
            question = await asyncio.to_thread(self._lines[self._spec.queries].get, item.id)
        text = " ".join(str((question or {}).get("text") or "").split())
        if not text:
            what = "has no text" if question else "is unknown"
            return None, [Bad(line=item.line, problem=f"query {item.id!r} {what} in {self._spec.queries}")]
        texts = await self._texts([document.id for document in wanted])
        where = self._spec.corpus or f"index {self._spec.index}"
        bad = [
            Bad(line=document.line, problem=f"document {document.id!r} is unknown in {where}")
            for document in wanted
            if document.id not in texts
        ]
        known = tuple(replace(each, text=texts[each.id]) for each in wanted if each.id in texts)
        return (Resolved(id=item.id, query=text, documents=known) if known else None), bad

    async def _texts(self, ids: Sequence[str]) -> dict[str, str | None]:
        if self._spec.corpus:
            async with self._disk:
                return await asyncio.to_thread(self._of_corpus, self._lines[self._spec.corpus], ids)
        assert self._spec.index
        engine, found = await self._connect(), await self._schema(self._spec.index)
        fields = self._template.fields or found.text
        texts: dict[str, str | None] = {}
        for start in range(0, len(ids), _IDS):
            part = list(ids[start : start + _IDS])
            # Twice the size: an id may stand in several indices behind one name.
            body = {"query": {"ids": {"values": part}}, "size": 2 * len(part), "_source": list(fields)}
            response = await engine.search(self._spec.index, msgspec.json.encode(body))
            for document in self._documents(response, fields):
                texts.setdefault(document.id, document.text)
        return texts

    @staticmethod
    def _of_corpus(lines: lookup.Lines, ids: Sequence[str]) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for identity in ids:
            row = lines.get(identity)
            if row is not None:
                content = f"{row.get('title') or ''} {row.get('text') or ''}".strip()
                found[identity] = hits.clean(content[: TextTemplate().max_chars]).strip() or None
        return found

    def _documents(self, response: EngineResponse, fields: Sequence[str]) -> tuple[Document, ...]:
        """The hits of a response; of a document that is there twice (two indices, say) the first."""
        try:
            read = page.read(response.body).hits
        except pieces.Unreadable as exc:
            raise EngineRefused(f"the engine's response cannot be read: {exc}", status=response.status) from exc
        first: dict[str, Document] = {}
        for hit, text in zip(read, hits.texts(read, self._template, fields), strict=True):
            first.setdefault(hit.identity[1], Document(id=hit.identity[1], text=text, score=hit.score))
        return tuple(first.values())

    async def _schema(self, index: str) -> schema.Schema:
        if index not in self._schemas:
            self._schemas[index] = await schema.of_index(await self._connect(), index)
        return self._schemas[index]
