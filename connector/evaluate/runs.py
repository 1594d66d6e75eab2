"""Runs: for each query, documents from best to worst; and TREC run files in and out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from connector.contract.errors import InputError
from connector.evaluate import rows

__all__ = ["Run", "Scores", "read", "write"]

#: query id → document ids, best first.
Run = Mapping[str, Sequence[str]]
#: query id → document id → score, best first.
Scores = Mapping[str, Mapping[str, float]]


def read(path: Path) -> dict[str, dict[str, float]]:
    """A TREC run file (`query Q0 document rank score tag`), each query's documents sorted by score.

    Equal scores keep the order of the ranks in the file, as the system that wrote it meant them.

    Raises:
        InputError: names the line with other columns, a score or rank that is no number, or a document twice.
    """
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for number, line in rows.lines(path):
        columns = line.split()
        if len(columns) != 6:
            raise InputError.at(path, number, f"{len(columns)} columns: a run line is query Q0 document rank score tag")
        query, _, document, rank, score, _ = columns
        documents = found.setdefault(query, {})
        if document in documents:
            raise InputError.at(path, number, f"document {document!r} is there twice for query {query!r}")
        documents[document] = (-_number(path, number, "score", score), _number(path, number, "rank", rank))
    if not found:
        raise InputError(f"{path}: no lines")
    return {
        query: {document: -keys[0] for document, keys in sorted(documents.items(), key=lambda item: item[1])}
        for query, documents in found.items()
    }


def _number(path: Path, number: int, what: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError.at(path, number, f"the {what} {text!r} is not a number")
    return value


def write(path: Path, run: Run, tag: str) -> None:
    """Writes `run` as a TREC run file. Scores fall by one a rank, so that every tool reads the order that is meant.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8") as file:
            for query, documents in run.items():
                for place, document in enumerate(documents, start=1):
                    file.write(f"{query} Q0 {document} {place} {len(documents) - place + 1} {tag}\n")
    except OSError as exc:
        raise InputError(f"{path}: {exc.strerror or exc}") from exc
