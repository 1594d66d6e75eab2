"""Remembers for a while which searches the engine refuses in their rewritten form, so that each costs one try."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import msgspec

from connector.query import SearchRequest

__all__ = ["Refusals", "shape"]

#: Seconds.
LIFETIME = 300.0
_CAPACITY = 10_000


class Refusals:
    """Index and shape of refused searches. At most `_CAPACITY`; the oldest go first."""

    def __init__(self) -> None:
        self._until: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def add(self, index: str, form: Hashable) -> None:
        """Remembers a refusal from now on."""
        self._until[index, form] = time.monotonic() + LIFETIME
        self._until.move_to_end((index, form))
        if len(self._until) > _CAPACITY:
            self._until.popitem(last=False)

    def __contains__(self, key: tuple[str, Hashable]) -> bool:
        until = self._until.get(key)
        if until is None:
            return False
        if until < time.monotonic():
            del self._until[key]
            return False
        return True


def shape(request: SearchRequest) -> Hashable:
    """What two searches that differ in their words and numbers alone have in common."""
    params = tuple(sorted({name for name, _ in request.params}))
    try:
        return params, _form(msgspec.json.decode(request.body)) if request.body else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return params, None


def _form(value: Any) -> Hashable:
    """Objects by their keys, lists by what occurs in them, anything else by its type."""
    if isinstance(value, dict):
        return tuple(sorted((key, _form(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return frozenset(map(_form, value))
    return type(value).__name__
