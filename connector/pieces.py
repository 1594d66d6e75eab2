"""Finds the pieces of a JSON text by their bytes, without changing any. Pure.

The parser says what the pieces are, the scan only where they stand, and every position is proven by what lies around
it. What cannot be proven (a repeated key, an odd escape) is refused.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import msgspec

__all__ = ["Member", "Unreadable", "after", "before", "elements", "members", "shape", "value_of", "walk"]

T = TypeVar("T")


class Unreadable(Exception):
    """The JSON text cannot be taken apart with certainty."""


class Member(NamedTuple):
    """Where a member of an object stands, as offsets into the bytes given: its key's first quote, its value."""

    key: int
    start: int
    end: int


_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_arrays = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder(msgspec.Raw)
_strings = msgspec.json.Decoder(str)
#: Places that are tried for a key, before it is given up.
_CANDIDATES = 50
_KEY = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*')
_SPACES = frozenset((b" ", b"\t", b"\r", b"\n"))
_SPACE = re.compile(rb"[ \t\r\n]*")
#: Escapes of UTF-16 surrogates, which the parser refuses where they stand alone.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def shape(text: bytes) -> bytes:
    """`text`, or where its lone surrogates keep it from being read, a stand-in of the same length and structure.

    Positions found in the stand-in hold for `text`. An engine hands out a document's `\\ud800` as it was indexed.

    Raises:
        Unreadable: not JSON, even so.
    """
    if _is_read(text):
        return text
    stand_in = _SURROGATE.sub(rb"\\u0020", text)
    if not _is_read(stand_in):
        raise Unreadable("it is no JSON")
    return stand_in


def members(text: bytes, start: int = 0, end: int | None = None) -> dict[str, Member]:
    """The members of the object that stands in `text` from `start` to `end`, in order.

    Raises:
        Unreadable: it is no object, or a key is repeated.
    """
    end = len(text) if end is None else end
    values = _decode(_objects, text, start, end)
    position = _past(text, start, b"{")
    found: dict[str, Member] = {}
    for name, raw in values.items():
        if found:
            position = _past(text, position, b",")
        key, value = b'"%b":' % name.encode(), bytes(raw)
        begin = position + len(key)
        if text.startswith(key, position) and text.startswith(value, begin):  # as engines write it
            found[name] = Member(position, begin, begin + len(value))
        else:
            found[name] = _member(text, position, name, value)
        position = found[name].end
    _close(text, position, b"}", end)
    return found


def value_of(text: bytes, name: str, value: bytes) -> tuple[int, int] | None:
    """Start and end of `value`, the value of the member `name` of the object `text`; None where that is not certain.

    A short cut to one early member of a large object: its key is there once, and what comes before it is whole members.
    """
    key = b'"%b":' % name.encode()
    at = text.find(key)
    start, end = at + len(key), at + len(key) + len(value)
    if text.count(key) != 1 or text[start:end] != value or text[end : end + 1] not in (b",", b"}"):
        return None
    try:
        _objects.decode(text[:at] + b'"":0}')
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return start, end


def before(text: bytes, name: str, start: int = 0) -> tuple[dict[str, Member], int]:
    """The members that come before the member `name` of the object at `start`, and where the value of that one begins.

    For objects too large to be walked: no more is read than what comes before.

    Raises:
        Unreadable: it cannot be found with certainty.
    """
    key = re.compile(rb'"%b"[ \t\r\n]*:[ \t\r\n]*' % re.escape(name.encode()))
    for match in itertools.islice(key.finditer(text, start), _CANDIDATES):
        try:
            # If this is where a key of that object may stand, then the object can be closed here.
            found = members(text[start : match.start()] + b'"":0}')
        except Unreadable:
            continue
        del found[""]
        if name not in found:
            return {key: _moved(member, start) for key, member in found.items()}, match.end()
    raise Unreadable(f"there is no {name!r}, or it is there twice")


def after(text: bytes, position: int, depth: int) -> list[dict[str, Member]]:
    """The members that follow a value which ends at `position`: of the object it stands in, and of those around that.

    Raises:
        Unreadable: the text does not end with `depth` objects, or a key is repeated.
    """
    opening = b'{"":' * (depth - 1) + b'{"":0'
    rest = opening + text[position:]
    start, end = 0, len(rest)
    found: list[dict[str, Member]] = []
    for _ in range(depth):
        inside = members(rest, start, end)
        _, start, end = inside.pop("")
        found.append({key: _moved(member, position - len(opening)) for key, member in inside.items()})
    return found[::-1]


def _moved(member: Member, by: int) -> Member:
    return Member(member.key + by, member.start + by, member.end + by)


def elements(text: bytes, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Start and end of each element of the array that stands in `text` from `start` to `end`.

    Raises:
        Unreadable: it is no array.
    """
    end = len(text) if end is None else end
    spans, position = walk(text, start, [bytes(raw) for raw in _decode(_arrays, text, start, end)])
    if _past_space(text, position) < end:
        raise Unreadable("something follows the end")
    return spans


def walk(text: bytes, start: int, values: Sequence[bytes]) -> tuple[list[tuple[int, int]], int]:
    """Start and end of each element of the array at `start`, whose elements are `values`; and where the array ends.

    Raises:
        Unreadable: they are not.
    """
    position = _past(text, start, b"[")
    found: list[tuple[int, int]] = []
    for value in values:
        if found:
            position = _past(text, position, b",")
        begin = _past_space(text, position)
        if not text.startswith(value, begin):
            raise Unreadable("an element is not where it should be")
        position = begin + len(value)
        found.append((begin, position))
    return found, _past(text, position, b"]")


def _is_read(text: bytes) -> bool:
    try:
        _any.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def _decode(decoder: msgspec.json.Decoder[T], text: bytes, start: int, end: int) -> T:
    try:
        # Of bytes the parser hands out views; of anything else, copies.
        return decoder.decode(text if end - start == len(text) else text[start:end])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise Unreadable(str(exc)) from exc


def _member(text: bytes, position: int, name: str, value: bytes) -> Member:
    """The member `name`, which comes next, however it is written."""
    match = _KEY.match(text, position)
    if (
        match is None
        or _decode(_strings, match[1], 0, len(match[1])) != name
        or not text.startswith(value, match.end())
    ):
        raise Unreadable(f"the member {name!r} is not where it should be")
    return Member(match.start(1), match.end(), match.end() + len(value))


def _past(text: bytes, position: int, sign: bytes) -> int:
    """The offset after `sign`, which stands at `position` or after white space."""
    if text.startswith(sign, position):
        return position + 1
    position = _past_space(text, position)
    if not text.startswith(sign, position):
        raise Unreadable(f"{sign.decode()} is missing at byte {position}: a repeated key?")
    return position + 1


def _past_space(text: bytes, position: int) -> int:
    if text[position : position + 1] not in _SPACES:
        return position
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _close(text: bytes, position: int, bracket: bytes, end: int) -> None:
    position = _past(text, position, bracket)
    if _past_space(text, position) < end:
        raise Unreadable("something follows the end")
