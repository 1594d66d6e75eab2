"""Reads items from JSON lines, query logs and `_msearch` bodies, one at a time; a line of no use comes as `Bad`.

    documents   {"id": "q1", "query": "…", "documents": ["text", {"id": "d1", "text": "…"}, …]}
    queries     {"id": "q1", "query": "…"}        (or BEIR's names: _id, text)
    log         a query a line, as plain text or as {"query": "…"}; repeated queries are items of their own
    msearch     pairs of lines, header and search, as an engine takes them

Without an id an item is called by its line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from connector import hits, msearch, pieces
from connector.jobs.items import UNKNOWN_TOKENS, Bad, Document, Item, tokens
from connector.settings import TextTemplate

__all__ = ["Line", "lines", "read"]

#: Bytes of a line: what is longer is no item, and would not fit beside others in memory.
MAX_LINE = 64 << 20
#: A byte order mark, which some editors put at the beginning.
MARK = b"\xef\xbb\xbf"
_CHARACTERS = TextTemplate().max_chars


class _Unusable(ValueError):
    """Why a line is no item."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line that is not blank, and the offset in bytes after it; `data` is None where it is too long."""

    number: int
    data: bytes | None
    end: int


def lines(file: BinaryIO, *, line: int = 0, offset: int = 0) -> Iterator[Line]:
    """The lines of `file`, which stands at byte `offset` after `line` lines. Blank ones are passed over."""
    while data := file.readline(MAX_LINE + 1):
        line += 1
        offset += len(data)
        if len(data) > MAX_LINE and not data.endswith(b"\n"):
            while rest := file.readline(MAX_LINE):
                offset += len(rest)
                if rest.endswith(b"\n"):
                    break
            yield Line(number=line, data=None, end=offset)
            continue
        data = data.removeprefix(MARK) if line == 1 else data
        if data.strip():
            yield Line(number=line, data=data.strip(), end=offset)


def read(
    form: str, file: BinaryIO, *, line: int, offset: int, index: str | None, window: int | None
) -> Iterator[Item | Bad]:
    """The items of `file`, which stands at byte `offset` after `line` lines.

    Args:
        form: "documents", "queries", "log" or "msearch".
        index: the index of an `msearch` whose header names none.
        window: candidates that will be scored of each item; None: all.
    """
    found = lines(file, line=line, offset=offset)
    if form == "msearch":
        return _searches(found, index or "", window)
    parse: Callable[[bytes, int | None], _Parsed] = {"documents": _documents, "queries": _query, "log": _logged}[form]
    return (_item(each, parse, window) for each in found)


#: An item's id (None: called by its line), query, documents and cost.
_Parsed = tuple[str | None, str, tuple[Document, ...] | None, int]


def _item(line: Line, parse: Callable[[bytes, int | None], _Parsed], window: int | None) -> Item | Bad:
    if line.data is None:
        return Bad(line=line.number, problem=f"longer than {MAX_LINE:,} bytes")
    try:
        identity, query, documents, cost = parse(line.data, window)
    except UnicodeDecodeError as exc:
        return Bad(line=line.number, problem=f"not UTF-8 at byte {exc.start + 1}")
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        return Bad(line=line.number, problem=str(exc))
    return Item(
        id=identity or str(line.number), query=query, documents=documents, cost=cost,
        line=line.number, last=line.number, end=line.end,
    )  # fmt: skip


def _documents(data: bytes, window: int | None) -> _Parsed:
    row = _object(data)
    identity, query = _identity(row), _question(row)
    given = row.get("documents")
    if not isinstance(given, list):
        raise _Unusable(f"'documents' is {'missing' if given is None else 'not a list'}")
    if not given:
        raise _Unusable("'documents' is an empty list")
    documents = tuple(_document(value, place) for place, value in enumerate(given))
    ids = {document.id for document in documents}
    if len(ids) < len(documents):
        raise _Unusable("two documents have the same id")
    cost = sum(tokens(query, document.text) for document in documents[:window] if document.text)
    return identity, query, documents, cost


def _document(value: Any, place: int) -> Document:
    given = value if isinstance(value, Mapping) else {"text": value}
    text = given.get("text")
    if not isinstance(text, str):
        raise _Unusable(f"document {place + 1} is no text: a string, or an object with 'id' and 'text'")
    score = given.get("score")
    return Document(
        id=_identity(given) or str(place),
        text=hits.clean(text[:_CHARACTERS]).strip() or None,
        score=float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None,
    )


def _query(data: bytes, window: int | None) -> _Parsed:
    row = _object(data)
    query = _question(row)
    return _identity(row), query, None, (window or 0) * UNKNOWN_TOKENS


def _logged(data: bytes, window: int | None) -> _Parsed:
    if data.startswith(b"{"):
        return _query(data, window)
    query = _words(data.decode())
    return None, query, None, (window or 0) * UNKNOWN_TOKENS


def _searches(found: Iterator[Line], index: str, window: int | None) -> Iterator[Item | Bad]:
    """Pairs of lines; a bad search does not bring the ones after it out of step."""
    for header in found:
        search = next(found, None)
        if search is None:
            yield Bad(line=header.number, problem="a header without a search after it")
            return
        if header.data is None or search.data is None:
            yield Bad(line=header.number, problem=f"longer than {MAX_LINE:,} bytes")
            continue
        try:
            [item] = msearch.split(b"%b\n%b\n" % (header.data, search.data), index=index)
            _object(search.data)
        except (pieces.Unreadable, msgspec.MsgspecError, ValueError, RecursionError) as exc:
            yield Bad(line=header.number, problem=str(exc))
            continue
        if not item.request.index:
            yield Bad(line=header.number, problem="the header names no index, and --index neither")
            continue
        yield Item(
            id=str(header.number), query="", request=item.request, cost=(window or 0) * UNKNOWN_TOKENS,
            line=header.number, last=search.number, end=search.end,
        )  # fmt: skip


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError as exc:
        raise _Unusable(f"no JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise _Unusable("no JSON object")
    return value


def _identity(row: Mapping[str, Any]) -> str | None:
    for name in ("id", "_id", "query_id"):
        if name in row:
            value = row[name]
            if isinstance(value, bool) or not isinstance(value, str | int) or str(value).split() != [str(value)]:
                raise _Unusable(f"{name!r} is {value!r}: a number, or text without spaces")
            return str(value)
    return None


def _question(row: Mapping[str, Any]) -> str:
    value = row.get("query", row.get("text"))
    if not isinstance(value, str):
        raise _Unusable("'query' is missing" if value is None else "'query' is no text")
    return _words(value)


def _words(text: str) -> str:
    query = " ".join(hits.clean(text).split())
    if not query:
        raise _Unusable("the query is empty")
    return query
