"""BEIR folders: corpus.jsonl, queries.jsonl and graded judgments in qrels/SPLIT.tsv."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from connector.contract.errors import InputError
from workers.training import rows
from workers.training.collection import Collection, JudgedQuery, digest, require_positives

__all__ = ["corpus", "read"]

_HEADER = ("query-id", "corpus-id", "score")


def read(folder: Path, split: str) -> Collection:
    """The judged queries of one split, with the whole corpus to mine negatives from.

    Raises:
        InputError: an id that does not resolve, a duplicate, a grade that is no whole number, an empty corpus, no
            positives: file and line are named.
    """
    documents = folder / "corpus.jsonl"
    queries = folder / "queries.jsonl"
    judgments = folder / "qrels" / f"{split}.tsv"
    if not judgments.is_file():
        known = ", ".join(sorted(path.stem for path in (folder / "qrels").glob("*.tsv"))) or "none"
        raise InputError(f"{judgments}: no such judgments; splits that are there: {known}")
    passages = corpus(documents)
    texts = _texts(queries)
    grades: dict[str, dict[str, float]] = {}
    for line, query, document, grade in _judgments(judgments):
        if query not in texts:
            raise InputError.at(judgments, line, f"query {query!r} is not in {queries}")
        if document not in passages:
            raise InputError.at(judgments, line, f"document {document!r} is not in {documents}")
        if document in grades.setdefault(query, {}):
            raise InputError.at(judgments, line, f"a second judgment of document {document!r} for query {query!r}")
        if passages[document]:
            grades[query][document] = grade
    return require_positives(
        Collection(
            name=folder.name,
            passages={name: text for name, text in passages.items() if text},
            queries=tuple(JudgedQuery(query=texts[name], grades=given) for name, given in grades.items()),
            digests={str(path): digest(path) for path in (documents, queries, judgments)},
        )
    )


def corpus(path: Path) -> dict[str, str]:
    """Document id → title and text as one field; the text may be empty, as it is in some collections.

    Raises:
        InputError: an id twice, or no document at all.
    """
    found: dict[str, str] = {}
    for row in rows.read(path):
        name = row.text("_id")
        if name in found:
            raise row.error(f"document id {name!r} is there twice")
        found[name] = rows.passage(row.optional_text("title"), row.optional_text("text"))
    if not any(found.values()):
        raise InputError(f"{path}: the corpus is empty")
    return found


def _texts(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in rows.read(path):
        name = row.text("_id")
        if name in found:
            raise row.error(f"query id {name!r} is there twice")
        found[name] = row.text("text")
    return found


def _judgments(path: Path) -> Iterator[tuple[int, str, str, float]]:
    for number, line in rows.lines(path):
        cells = tuple(cell.strip() for cell in line.rstrip("\r\n").split("\t"))
        if number == 1 and cells == _HEADER:
            continue
        if cells == ("",):
            continue
        if len(cells) != len(_HEADER):
            raise InputError.at(path, number, f"needs the three columns {', '.join(_HEADER)}, separated by tabs")
        yield number, cells[0], cells[1], _grade(path, number, cells[2])


def _grade(path: Path, line: int, cell: str) -> float:
    try:
        grade = float(cell)
    except ValueError:
        raise InputError.at(path, line, f"the grade {cell!r} is no number") from None
    if not grade.is_integer():
        raise InputError.at(path, line, f"the grade {cell!r} is no whole number")
    # Judges mark spam with a grade below 0: not relevant is all that training needs to know.
    return max(grade, 0.0)
