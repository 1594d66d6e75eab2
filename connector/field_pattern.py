"""Field names with `*`, as the engines match them: any characters, dots too; nothing else is special. Pure."""

from __future__ import annotations

import functools
import re

__all__ = ["matches"]


def matches(pattern: str, name: str) -> bool:
    """Whether the whole `name` matches `pattern`."""
    return pattern == name or ("*" in pattern and _compiled(pattern).fullmatch(name) is not None)


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(piece) for piece in pattern.split("*")), re.DOTALL)
