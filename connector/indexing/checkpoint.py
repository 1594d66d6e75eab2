"""Remembers how far a file has been indexed, in the user's state folder, so that a rerun goes on from there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

__all__ = ["Checkpoint", "folder"]

#: Bytes at the file's start and before the place, by which the file is known again.
_SAMPLE = 4096


def folder(environment: Mapping[str, str]) -> Path:
    """Where checkpoints are: `rerank-bridge/index` in XDG_STATE_HOME or ~/.local/state."""
    home = environment.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "rerank-bridge" / "index"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The checkpoint of one file, one index and one engine."""

    path: Path

    @classmethod
    def of(cls, folder: Path, *, source: Path, engine_url: str, index: str) -> Checkpoint:
        """The one that belongs to these three, whether it was written or not."""
        name = "\0".join((engine_url, index, str(source.resolve())))
        return cls(path=folder / f"{blake2b(name.encode('utf-8', 'surrogateescape'), digest_size=12).hexdigest()}.json")

    def read(self, file: BinaryIO) -> tuple[int, int]:
        """Line and offset up to which `file` was indexed; (0, 0) without a checkpoint or when it is another file."""
        try:
            known = json.loads(self.path.read_bytes())
            line, offset, sample = int(known["line"]), int(known["offset"]), known["sample"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0
        return (line, offset) if sample == _sample(file, offset) else (0, 0)

    def write(self, file: BinaryIO, *, line: int, offset: int) -> None:
        """Remembers the place, all of it or nothing.

        Raises:
            OSError: the folder cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps({"line": line, "offset": offset, "sample": _sample(file, offset)}))
        new.replace(self.path)


def _sample(file: BinaryIO, offset: int) -> str:
    """A digest of what stands before `offset`; appending to the file does not change it, another file has another."""
    head = os.pread(file.fileno(), min(_SAMPLE, offset), 0)
    tail = os.pread(file.fileno(), min(_SAMPLE, offset), max(0, offset - _SAMPLE))
    return blake2b(head + tail, digest_size=16, salt=str(offset).encode()[-16:]).hexdigest()
