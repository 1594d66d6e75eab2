"""Judgments: which documents answer a query, and how well. BEIR's TSV and TREC's qrels, told apart by their columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from connector.contract.errors import InputError
from connector.evaluate import rows

__all__ = ["Grades", "Judgment", "by_query", "check", "read"]

#: query id → document id → grade; 1 and above is relevant.
Grades = Mapping[str, Mapping[str, int]]
_HEADER = ("query-id", "corpus-id", "score")


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgment:
    """One line of a judgments file."""

    query: str
    document: str
    grade: int
    line: int


def read(path: Path) -> list[Judgment]:
    """The judgments of a file: `query-id corpus-id score` (BEIR) or `query iteration document grade` (TREC).

    Raises:
        InputError: names the line that has other columns, a grade that is no whole number, or a pair judged before.
    """
    found: dict[tuple[str, str], Judgment] = {}
    for number, line in rows.lines(path):
        columns = _columns(path, number, line)
        if number == 1 and columns == _HEADER:
            continue
        query, document, grade = columns
        judgment = Judgment(query=query, document=document, grade=_grade(path, number, grade), line=number)
        earlier = found.setdefault((query, document), judgment)
        if earlier is not judgment:
            raise InputError.at(
                path, number, f"document {document!r} was judged for query {query!r} in line {earlier.line} already"
            )
    if not found:
        raise InputError(f"{path}: no judgments")
    return list(found.values())


def _columns(path: Path, number: int, line: str) -> tuple[str, str, str]:
    match line.split("\t") if "\t" in line else line.split():
        case [query, document, grade] | [query, _, document, grade]:
            return query.strip(), document.strip(), grade.strip()
        case columns:
            raise InputError.at(
                path,
                number,
                f"{len(columns)} columns: query, document, grade (BEIR) or query, 0, document, grade (TREC)",
            )


def _grade(path: Path, number: int, text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        raise InputError.at(path, number, f"the grade {text!r} is not a number") from None
    if value != value or value in (float("inf"), float("-inf")) or value != int(value):
        raise InputError.at(path, number, f"the grade {text!r} is not a whole number")
    return int(value)


def check(
    path: Path, judgments: Iterable[Judgment], *, queries: Iterable[str], unknown: Iterable[str], lenient: bool
) -> Iterator[Judgment]:
    """The judgments whose query and document exist; with `lenient` the others are left out.

    Args:
        queries: ids of the known queries.
        unknown: ids of judged documents that do not exist.

    Raises:
        InputError: names the first judgment for an unknown query or document, unless `lenient`.
    """
    known_queries, unknown_documents = set(queries), set(unknown)
    for judgment in judgments:
        for kind, value, missing in (
            ("query", judgment.query, judgment.query not in known_queries),
            ("document", judgment.document, judgment.document in unknown_documents),
        ):
            if missing and not lenient:
                raise InputError.at(
                    path, judgment.line, f"a judgment for an unknown {kind}, {value!r}; --lenient leaves such lines out"
                )
            if missing:
                break
        else:
            yield judgment


def by_query(judgments: Iterable[Judgment]) -> dict[str, dict[str, int]]:
    """Grades by query. Queries without a relevant document are left out: no order of results can be better or worse."""
    grades: dict[str, dict[str, int]] = {}
    for judgment in judgments:
        grades.setdefault(judgment.query, {})[judgment.document] = judgment.grade
    return {query: judged for query, judged in grades.items() if max(judged.values()) > 0}
