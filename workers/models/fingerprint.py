"""The fingerprint of a loaded model: everything that changes its scores, in one digest."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

__all__ = ["digest"]

#: Raise when the way a pair is put together changes: every cached score is then computed anew.
_RECIPE = "pairs-1"
_CHUNK = 1 << 20


def digest(files: Iterable[Path], *, precision: str, max_length: int) -> str:
    """32 hexadecimal digits for the contents of `files` (weights, tokenizer, config), the precision and the length.

    The names of the files do not count, their order does.
    """
    total = blake2b(f"{_RECIPE}|{precision}|{max_length}".encode(), digest_size=16)
    for path in files:
        content = blake2b(digest_size=32)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                content.update(chunk)
        total.update(content.digest())
    return total.hexdigest()
