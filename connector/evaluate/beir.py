"""Judged collections: folders in BEIR layout (corpus.jsonl, queries.jsonl, qrels/test.tsv), read line by line.

Of the corpus only the ids are kept in memory; the documents are streamed to the engine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from connector.contract.errors import InputError
from connector.evaluate import judgments, rows

__all__ = ["Document", "Folder", "Topics", "documents", "read", "read_queries", "topics"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A line of corpus.jsonl."""

    id: str
    title: str
    text: str

    @property
    def content(self) -> str:
        """Title and text as the one field that is searched and reranked."""
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Topics:
    """What is asked and what would be right: the judged queries only."""

    queries: Mapping[str, str]
    grades: judgments.Grades
    #: Judgments left out because their query or document is unknown (`lenient` only), and queries left out because
    #: none of their documents is relevant.
    dropped: int = 0
    unjudged: int = 0

    def sample(self, count: int, seed: int) -> Topics:
        """`count` of the queries, the same for a seed whatever their order in the file; all when there are fewer."""
        chosen = Random(seed).sample(sorted(self.queries), min(count, len(self.queries)))
        return replace(
            self,
            queries={query: self.queries[query] for query in chosen},
            grades={query: self.grades[query] for query in chosen},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A collection on disk whose every line has been read once."""

    name: str
    corpus: Path
    topics: Topics
    #: Documents in the corpus, and the SHA-256 of its file in hexadecimal.
    size: int
    digest: str


def read(folder: Path, *, split: str = "test", lenient: bool = False) -> Folder:
    """Reads a BEIR folder.

    Raises:
        InputError: names file and line of what cannot be used: lines that are no JSON, duplicate ids, an empty corpus,
            grades that are no numbers, judgments for an unknown query or document (unless `lenient`).
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    corpus, qrels = folder / "corpus.jsonl", folder / "qrels" / f"{split}.tsv"
    queries = read_queries(folder / "queries.jsonl")
    judged = judgments.read(qrels)
    ids: set[str] = set()
    for document in documents(corpus):
        ids.add(document.id)
    if not ids:
        raise InputError(f"{corpus}: no documents")
    unknown = {judgment.document for judgment in judged} - ids
    with corpus.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Folder(
        name=folder.resolve().name,
        corpus=corpus,
        topics=topics(qrels, queries, judged, unknown, lenient=lenient),
        size=len(ids),
        digest=digest,
    )


def documents(corpus: Path) -> Iterator[Document]:
    """The documents of a corpus.jsonl, one at a time.

    Raises:
        InputError: names the line that cannot be used or whose id came before.
    """
    first: dict[str, int] = {}
    for number, row in rows.json_rows(corpus):
        identity = rows.identity(corpus, number, row)
        if (earlier := first.setdefault(identity, number)) != number:
            raise InputError.at(corpus, number, f"the id {identity!r} is in line {earlier} already")
        yield Document(
            id=identity,
            title=rows.text_field(corpus, number, row, "title", required=False),
            text=rows.text_field(corpus, number, row, "text"),
        )


def read_queries(path: Path) -> dict[str, str]:
    """Queries by id, from JSONL (`_id`, `text`) or, where the name ends in .tsv, lines of id, tab, text.

    Raises:
        InputError: names the line that cannot be used or whose id came before.
    """
    found: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, identity, text in _query_rows(path):
        if not text.strip():
            raise InputError.at(path, number, f"the query {identity!r} has no text")
        if (earlier := lines.setdefault(identity, number)) != number:
            raise InputError.at(path, number, f"the id {identity!r} is in line {earlier} already")
        # As the main path reads a query.
        found[identity] = " ".join(text.split())
    if not found:
        raise InputError(f"{path}: no queries")
    return found


def _query_rows(path: Path) -> Iterator[tuple[int, str, str]]:
    if path.suffix != ".tsv":
        for number, row in rows.json_rows(path):
            yield number, rows.identity(path, number, row), rows.text_field(path, number, row, "text")
        return
    for number, line in rows.lines(path):
        identity, tab, text = line.partition("\t")
        if not tab:
            raise InputError.at(path, number, "no tab between the query's id and its text")
        yield number, rows.identity(path, number, {"_id": identity}), text


def topics(
    qrels: Path, queries: Mapping[str, str], judged: list[judgments.Judgment], unknown: set[str], *, lenient: bool
) -> Topics:
    """The queries of `queries` that the judgments can tell anything about.

    Raises:
        InputError: a judgment for an unknown query or document, unless `lenient`; nothing is left.
    """
    kept = list(judgments.check(qrels, judged, queries=queries, unknown=unknown, lenient=lenient))
    grades = judgments.by_query(kept)
    if not grades:
        raise InputError(f"{qrels}: no query has a relevant document")
    return Topics(
        queries={query: text for query, text in queries.items() if query in grades},
        grades=grades,
        dropped=len(judged) - len(kept),
        unjudged=len({judgment.query for judgment in kept}) - len(grades),
    )
