"""Which headers travel on: hop-by-hop ones stay between two neighbours (RFC 9110, section 7.6.1)."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Headers", "end_to_end", "first", "framing"]

#: Names in lower case.
Headers = list[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """`headers` without the hop-by-hop ones and those that Connection names."""
    kept = []
    named: set[bytes] = set()
    for name, value in headers:
        if name not in _HOP_BY_HOP:
            kept.append((name, value))
        elif name == b"connection":
            named.update(token.strip().lower() for token in value.split(b","))
    named -= {b"keep-alive", b"close", b""}
    return [header for header in kept if header[0] not in named] if named else kept


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value of `name` (lower case), None without one."""
    for key, value in headers:
        if key == name:
            return value
    return None


def framing(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Bytes of the body that these headers announce: 0 without one, None for a chunked body of unknown length."""
    length = 0
    for name, value in headers:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            length = int(value)
    return length
