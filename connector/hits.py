"""The text of a hit that the cross-encoder reads: the values of a field list, each within its cap. Pure."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from connector import field_pattern
from connector.page import Hit
from connector.settings import TextTemplate

__all__ = ["clean", "texts"]

#: Control characters but tab and line feed, and surrogates that stand alone: no tokenizer takes them.
_UNCLEAN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
#: An escape that a cut has left incomplete, after whole ones.
_CUT_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:u[0-9a-fA-F]{0,3})?$")
#: Bytes of a JSON string that hold one character at most: an escaped surrogate pair.
_WIDEST = 12


class _Head(msgspec.Struct):
    """Where a hit holds text."""

    source: dict[str, msgspec.Raw] = msgspec.field(name="_source", default_factory=dict)
    fields: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)


_heads = msgspec.json.Decoder(_Head)


def texts(hits: Sequence[Hit], template: TextTemplate, fields: Sequence[str]) -> list[str | None]:
    """The text of each hit; None where it has none, which is never scored.

    Args:
        template: its fields, or `fields` (those that the query searched) where it names none. A name may be dotted, a
            subfield (`title.english` is the text of `title`) or a pattern with `*`.
    """
    names = tuple(template.fields or fields)
    return [_readable_text(hit, names, template) for hit in hits]


def clean(text: str) -> str:
    """`text` as a tokenizer takes it: spaces in the place of control characters and lone surrogates."""
    return text if text.isprintable() else _UNCLEAN.sub(" ", text)


def _readable_text(hit: Hit, names: Sequence[str], template: TextTemplate) -> str | None:
    try:
        return _text(hit, names, template)
    except RecursionError:  # nested deeper than any text
        return None


def _text(hit: Hit, names: Sequence[str], template: TextTemplate) -> str | None:
    cap = max(template.max_chars, *template.field_chars.values()) if template.field_chars else template.max_chars
    source, retrieved = _documents(hit, names, cap)
    taken: set[str] = set()
    lines: list[str] = []
    for name in names:
        values = list(_values(source, name)) or _values(retrieved, name)
        line = _joined(values, taken, template.field_chars.get(name, template.max_chars))
        if line:
            lines.append(line)
    return "\n".join(lines) or None


def _joined(values: Iterable[str], taken: set[str], room: int) -> str:
    """The values that are not `taken` yet, one a line, cut to `room` characters."""
    parts: list[str] = []
    for value in values:
        if room <= 0:
            break
        part = clean(value[:room]).strip()
        if part and part not in taken:
            taken.add(part)
            parts.append(part)
            room -= len(part) + 1
    return "\n".join(parts)


def _documents(hit: Hit, names: Sequence[str], cap: int) -> list[dict[str, Any]]:
    """`_source` and `fields`: the members that `names` may lead into, decoded; the others cost a glance."""
    try:
        found = _heads.decode(hit.raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        whole = _leniently(hit.raw)
        parts = [whole.get(name) if isinstance(whole, dict) else None for name in ("_source", "fields")]
        return [part if isinstance(part, dict) else {} for part in parts]
    keys, stems = _leading(tuple(names))
    return [
        {key: _value(piece, cap) for key, piece in members.items() if key in keys or (stems and key.startswith(stems))}
        for members in (found.source, found.fields)
    ]


@functools.lru_cache(maxsize=256)
def _leading(names: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """What the members that can hold (a part of) these fields are called, or begin with."""
    plain = [name.split(".") for name in names if "*" not in name]
    keys = frozenset(".".join(path[:length]) for path in plain for length in range(1, len(path) + 1))
    return keys, tuple(name.split("*")[0].split(".")[0] for name in names if "*" in name)


def _value(piece: msgspec.Raw, cap: int) -> Any:
    """`piece` decoded; of a long string the first `cap` characters at least."""
    view = memoryview(piece)
    if len(view) > cap * _WIDEST and view[0] == ord('"'):
        head = bytes(view[: cap * _WIDEST]).decode(errors="ignore")
        raw = (_CUT_ESCAPE.sub(r"\1", head) + '"').encode()
    else:
        raw = bytes(view)
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _leniently(raw)


def _leniently(raw: bytes) -> Any:
    """What the strict parser refuses, mostly lone surrogates; None for what nobody can read."""
    try:
        return json.loads(raw.decode(errors="replace"), strict=False)
    except (ValueError, RecursionError):
        return None


def _values(document: dict[str, Any], name: str) -> Iterator[str]:
    plain = document.get(name)
    if isinstance(plain, str):
        return iter((plain,))
    if "*" in name:
        return (value for path, value in _leaves(document, "") if field_pattern.matches(name, path))
    return _along(document, name.split("."), descended=False)


def _along(value: Any, path: Sequence[str], *, descended: bool) -> Iterator[str]:
    """The texts under `path`. A path that leads on from a plain value names a subfield of it: the value is its text."""
    if isinstance(value, list):
        for element in value:
            yield from _along(element, path, descended=descended)
    elif isinstance(value, dict):
        if not path:
            yield from (text for _, text in _leaves(value, ""))
        for length in range(len(path), 0, -1):  # a key may hold dots itself
            key = ".".join(path[:length])
            if key in value:
                yield from _along(value[key], path[length:], descended=True)
                break
    elif descended and isinstance(value, str):
        yield value
    elif descended and isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every string below `value`, with its dotted path."""
    if isinstance(value, dict):
        for key, element in value.items():
            yield from _leaves(element, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for element in value:
            yield from _leaves(element, path)
    elif isinstance(value, str):
        yield path, value
