"""What an evaluation looks at, ready to be asked: a BEIR folder in the engine, a run over it, or a live index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from connector import schema
from connector.contract.errors import ConfigurationError, NoWorker
from connector.engines.base import Engine
from connector.evaluate import beir, corpus, judgments, lookup, runs, sources
from connector.evaluate.beir import Folder, Topics
from connector.evaluate.corpus import Vectors
from connector.evaluate.request import Live, Narrator, Request
from connector.evaluate.servers import Connected
from connector.evaluate.sources import Source
from connector.first_stage import FirstStages

__all__ = ["Files", "Subject", "of_folder", "of_index", "read"]

_LABELS = {"bm25": "BM25", "knn": "kNN", "hybrid": "hybrid (RRF)"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Queries with judgments, and where their candidates come from."""

    name: str
    #: What stands for the candidates' origin in reports.
    first_stage: str
    topics: Topics
    source: Source
    #: Names the documents: the index or the run file.
    place: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """What the request's files hold."""

    folder: Folder | None
    run: runs.Scores | None


def read(request: Request) -> Files:
    """Reads every file of the request, so that what is wrong with them is told before a server is started.

    Raises:
        InputError, ConfigurationError: a file cannot be used.
    """
    folder = None
    if isinstance(request.data, Path):
        folder = beir.read(request.data, split=request.split, lenient=request.lenient)
    else:
        beir.read_queries(request.data.queries)
        judgments.read(request.data.qrels)
        if request.data.search:
            sources.read_body(request.data.search)
    return Files(folder=folder, run=runs.read(request.run_in) if request.run_in else None)


async def of_folder(request: Request, files: Files, found: Connected, narrator: Narrator) -> Subject:
    """The folder's corpus in the engine, or the run's documents out of the corpus.

    Raises:
        EngineError, ScoringError: the corpus could not be indexed.
    """
    folder = files.folder
    assert folder is not None
    topics = _sampled(request, folder.topics)
    template = request.policy.text
    if files.run is not None:
        texts = lookup.from_corpus(folder.corpus, _needed(topics, files.run), template)
        return _replayed(request, folder.name, topics, files.run, texts)
    assert found.engine is not None
    vectors = None if request.first_stage == "bm25" else await _vectors(found)
    index = await corpus.ensure(found.engine, folder, vectors, narrator)
    stages = FirstStages(
        engine=found.engine,
        index=index,
        fields=(corpus.TEXT,),
        vector_field=corpus.VECTOR,
        embedder=found.scorer,
        source=[corpus.TEXT],
    )
    source = sources.SearchSource(stages=stages, mode=request.first_stage, template=template)
    return Subject(
        name=folder.name, first_stage=_LABELS[request.first_stage], topics=topics, source=source, place=index
    )


async def of_index(request: Request, files: Files, found: Connected) -> Subject:
    """A live index with the site's queries and judgments.

    Raises:
        InputError: a judgment for an unknown query or document.
        ConfigurationError: the index has no field to search.
        EngineError: the engine does not answer, or refuses.
    """
    engine, live = found.engine, request.data
    assert engine is not None
    assert isinstance(live, Live)
    known = await schema.of_index(engine, live.index)
    fields = live.fields or known.text
    if not fields:
        raise ConfigurationError(f"index {live.index} has no text field: name one with --field")
    topics = _sampled(request, await _topics(engine, live, lenient=request.lenient))
    template, plain = request.policy.text, tuple(name.partition("^")[0] for name in fields)
    if files.run is not None:
        texts = await lookup.from_index(engine, live.index, _needed(topics, files.run), template, plain)
        return _replayed(request, live.index, topics, files.run, texts)
    label, source = _live_source(request, live, found, fields, known)
    return Subject(name=live.index, first_stage=label, topics=topics, source=source, place=live.index)


def _live_source(
    request: Request, live: Live, found: Connected, fields: Sequence[str], known: schema.Schema
) -> tuple[str, Source]:
    assert found.engine is not None
    template = request.policy.text
    if live.search:
        plain = tuple(name.partition("^")[0] for name in fields)
        body = sources.read_body(live.search)
        own = sources.BodySource(engine=found.engine, index=live.index, body=body, template=template, fields=plain)
        return live.search.name, own
    if request.first_stage != "bm25" and not known.vector:
        raise ConfigurationError(f"index {live.index} has no vector field: use --first-stage bm25")
    stages = FirstStages(
        engine=found.engine,
        index=live.index,
        fields=fields,
        vector_field=next(iter(known.vector), ""),
        embedder=found.scorer,
        source={"excludes": list(known.vector)} if known.vector else True,
    )
    return _LABELS[request.first_stage], sources.SearchSource(
        stages=stages, mode=request.first_stage, template=template
    )


async def _topics(engine: Engine, live: Live, *, lenient: bool) -> Topics:
    judged = judgments.read(live.qrels)
    unknown = await lookup.unknown(engine, live.index, {judgment.document for judgment in judged})
    return beir.topics(live.qrels, beir.read_queries(live.queries), judged, unknown, lenient=lenient)


async def _vectors(found: Connected) -> Vectors:
    worker = await found.scorer.directory.resolve("embed")
    if worker is None:
        raise NoWorker("no worker embeds texts: start one with rerank-bridge worker --kind embed --alias embed")
    return Vectors(embedder=found.scorer, fingerprint=worker.fingerprint, dimensions=worker.dimensions)


def _replayed(request: Request, name: str, topics: Topics, run: runs.Scores, texts: dict[str, str | None]) -> Subject:
    assert request.run_in is not None
    source = sources.RunSource(path=request.run_in, scores=run, texts=texts)
    return Subject(name=name, first_stage=request.run_in.name, topics=topics, source=source, place=str(request.run_in))


def _needed(topics: Topics, run: runs.Scores) -> set[str]:
    return {document for query in topics.queries for document in run.get(query, ())}


def _sampled(request: Request, topics: Topics) -> Topics:
    return topics if request.sample is None else topics.sample(request.sample, request.seed)
