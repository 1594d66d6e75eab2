"""Pure: a line of JSON becomes a document that an engine takes, or the reason why it cannot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import msgspec

__all__ = ["Bad", "Document", "Shape", "parse", "read", "rows"]

#: Bytes of a line. Engines refuse requests of 100 MB, so a longer line is no document.
MAX_LINE = 100_000_000
_MAX_ID_BYTES = 512
#: Characters of a document that are embedded: more than any small sentence encoder reads.
_EMBEDDED_CHARS = 4_000
#: Raw control characters are not allowed in JSON, but met; between the tokens and inside strings a space is right.
_CONTROL_TO_SPACE = bytes(max(byte, 32) for byte in range(256))
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: Every escape of a JSON string, in turn, so that the backslash of `\\ud800` is not taken for the start of one.
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Which members of a line mean what."""

    id_field: str = "_id"
    #: The members that are the document's text, in order.
    text_fields: tuple[str, ...] = ("title", "text")
    #: A member to leave out because it is written anew; None leaves all in.
    replaced: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One document, ready to be sent: numbers are as they were written, not as a parser would write them."""

    id: str
    #: A JSON object, without its id.
    source: bytes = field(repr=False)
    #: What is embedded; "" where there is no text.
    text: str = field(repr=False)
    #: Where it came from, counted from 1, and the offset in bytes after it.
    line: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Bad:
    """A line that is no document, and why."""

    problem: str
    line: int
    end: int


def read(file: BinaryIO, shape: Shape, *, line: int = 0, offset: int = 0) -> Iterator[Document | Bad]:
    """The documents of JSON lines, one at a time; empty lines are passed over.

    Args:
        line: lines before the place at which `file` stands.
        offset: bytes before that place.
    """
    while data := file.readline(MAX_LINE + 1):
        line += 1
        offset += len(data)
        if len(data) > MAX_LINE and not data.endswith(b"\n"):
            offset += _skip_line(file)
            yield Bad(problem=f"longer than {MAX_LINE:,} bytes", line=line, end=offset)
        elif data.strip():
            yield parse(data, shape, line=line, end=offset)


def rows(values: Iterable[Mapping[str, Any]], shape: Shape) -> Iterator[Document | Bad]:
    """The documents of mappings that JSON can hold."""
    import json

    for number, value in enumerate(values, start=1):
        yield parse(json.dumps(value).encode(), shape, line=number, end=0)


def parse(data: bytes, shape: Shape, *, line: int, end: int) -> Document | Bad:
    """The document in one line. Control characters become spaces, lone surrogates the replacement character."""
    try:
        members = msgspec.json.decode(_clean(data), type=dict[str, msgspec.Raw])
        id_ = _id(members, shape.id_field)
        text = _text(members, shape.text_fields)
    except UnicodeDecodeError as exc:
        return Bad(problem=f"not UTF-8 at byte {exc.start + 1}", line=line, end=end)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        return Bad(problem=str(exc), line=line, end=end)
    if shape.replaced:
        members.pop(shape.replaced, None)
    return Document(id=id_, source=msgspec.json.encode(members), text=text, line=line, end=end)


def _clean(data: bytes) -> bytes:
    data = data.removeprefix(_BYTE_ORDER_MARK).translate(_CONTROL_TO_SPACE)
    if not data.isascii():
        data.decode("utf-8")
    if b"\\ud" in data or b"\\uD" in data:
        data = _ESCAPES.sub(lambda match: rb"\ufffd" if match[1] else match[0], data)
    return data


def _id(members: dict[str, msgspec.Raw], name: str) -> str:
    raw = members.get(name)
    if raw is None:
        raise ValueError(f"no member {name!r} to be the document's id: name it with --id-field")
    value = msgspec.json.decode(raw)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise ValueError(f"the id {name!r} is neither a text nor a whole number")
    id_ = str(value)
    if len(id_.encode()) > _MAX_ID_BYTES:
        raise ValueError(f"the id {name!r} is longer than {_MAX_ID_BYTES} bytes")
    if name == "_id":
        # Engines refuse their own metadata field inside a document.
        del members[name]
    return id_


def _text(members: dict[str, msgspec.Raw], names: Sequence[str]) -> str:
    values = (msgspec.json.decode(members[name]) for name in names if name in members)
    texts = (value[:_EMBEDDED_CHARS] for value in values if isinstance(value, str) and value.strip())
    return "\n".join(texts)[:_EMBEDDED_CHARS]


def _skip_line(file: BinaryIO) -> int:
    skipped = 0
    while data := file.readline(MAX_LINE):
        skipped += len(data)
        if data.endswith(b"\n"):
            break
    return skipped
