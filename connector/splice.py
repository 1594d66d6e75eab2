"""Puts other bytes in the place of pieces of a JSON text. Pure.

Nothing is ever encoded again: `1.10`, a number of 23 digits or a repeated key inside a piece that stays keep every
byte. Where the pieces stand is found by `connector.pieces`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from connector import pieces
from connector.pieces import Unreadable

__all__ = ["Edit", "apply", "replace", "update"]


class Edit(NamedTuple):
    """Puts `new` in the place of the bytes from `start` to `end`."""

    start: int
    end: int
    new: bytes


def apply(text: bytes, edits: Iterable[Edit]) -> bytes:
    """`text` with the edits made. They may not overlap."""
    edits = list(edits)
    if len(edits) == 1:
        return text[: edits[0].start] + edits[0].new + text[edits[0].end :]
    parts: list[bytes] = []
    position = 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        parts += (text[position : edit.start], edit.new)
        position = edit.end
    parts.append(text[position:])
    return b"".join(parts)


def update(text: bytes, changes: Mapping[str, bytes | None]) -> bytes:
    """The object `text` with members set to other values, or left out where the value is None.

    A new member comes last; one that is left out takes its comma along. An empty text is an empty object.

    Raises:
        Unreadable: it is no object, or a key is repeated.
    """
    text = text if text.strip() else b"{}"
    found = pieces.members(pieces.shape(text))
    kept = [
        text[member.key : member.start] + (changes.get(key) or text[member.start : member.end])
        for key, member in found.items()
        if changes.get(key, b"") is not None
    ]
    added = [
        msgspec.json.encode(key) + b":" + value
        for key, value in changes.items()
        if value is not None and key not in found
    ]
    return b"{" + b",".join(kept + added) + b"}"


def replace(text: bytes, path: Sequence[str | int], value: bytes | None) -> bytes:
    """`text` with the value at `path` (keys and indexes from the root) replaced; the last key may be new.

    None leaves out the member that the path ends in.

    Raises:
        Unreadable: nothing stands there, or it cannot be found with certainty.
    """
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        spans = pieces.elements(pieces.shape(text))
        if step >= len(spans):
            raise Unreadable(f"there is no element {step}")
        start, end = spans[step]
        return text[:start] + (replace(text[start:end], rest, value) if rest else value or b"null") + text[end:]
    if rest:
        member = pieces.members(pieces.shape(text)).get(step)
        if member is None:
            raise Unreadable(f"there is no {step!r}")
        value = replace(text[member.start : member.end], rest, value)
    return update(text, {step: value})
