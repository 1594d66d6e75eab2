"""What is done, on disk: one file a chunk, whole or absent, and the output put together from them in order.

A part is a JSON header line (`{"chunk", "queries", "pairs", "cached"}`) and what the chunk adds to the output.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from connector.contract.errors import ConfigurationError
from connector.jobs import files

__all__ = ["Folder", "Part", "home"]

#: Parts of one folder, so that no folder grows without bound.
_SHARD = 1000
_BLOCK = 1 << 20


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part's header."""

    chunk: int
    queries: int
    pairs: int
    cached: int


def home(environment: Mapping[str, str]) -> Path:
    """Where coordinators keep parts: RERANK_BRIDGE_JOBS_DIR, else `rerank-bridge/jobs` under XDG_STATE_HOME.

    Coordinators on several machines need one folder that all of them see.
    """
    if named := environment.get("RERANK_BRIDGE_JOBS_DIR"):
        return Path(named).absolute()
    state = environment.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "rerank-bridge" / "jobs"


class Folder:
    """The parts of one job. Its name holds the digest of spec and inputs: another job's are never taken for its."""

    def __init__(self, home: Path, job: str, digest: str) -> None:
        self.path = home / f"{job}-{digest}"
        self.result = self.path / "result"

    def make(self) -> None:
        """Creates the folder.

        Raises:
            ConfigurationError: it cannot be created.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ConfigurationError(f"the jobs' folder {self.path} cannot be made: {exc.strerror}") from exc

    def write(self, part: Part, body: bytes) -> None:
        """Puts a part on the disk before it returns.

        Raises:
            OSError: it cannot be written.
        """
        path = self._of(part.chunk)
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                file.write(msgspec.json.encode(part) + b"\n")
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        files.sync_folder(path.parent)

    def chunks(self) -> Iterator[int]:
        """The numbers of all parts, in no order."""
        return (int(path.stem) for path in self.path.glob("parts-*/*.part"))

    def part(self, chunk: int) -> Part:
        """The header of a part that is there."""
        with self._of(chunk).open("rb") as file:
            return msgspec.json.decode(file.readline(), type=Part)

    def bodies(self, chunks: Iterable[int]) -> Iterator[BinaryIO]:
        """The parts of `chunks`, those that are there, each open behind its header."""
        for chunk in chunks:
            path = self._of(chunk)
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.readline()
                yield file

    def assemble(self, chunks: int) -> Path:
        """Writes the parts of the first `chunks` chunks, one after another, to `result` and returns it.

        Raises:
            OSError: it cannot be written.
        """
        partial = self.result.with_suffix(f".{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                for body in self.bodies(range(chunks)):
                    shutil.copyfileobj(body, file, _BLOCK)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.result)
        finally:
            partial.unlink(missing_ok=True)
        files.sync_folder(self.path)
        return self.result

    def drop_parts(self) -> None:
        """Removes what `result` holds by now."""
        for folder in self.path.glob("parts-*"):
            shutil.rmtree(folder, ignore_errors=True)
        for other in (*self.path.glob("*.sqlite"), *self.path.glob("*.jsonl")):
            other.unlink(missing_ok=True)

    def remove(self) -> None:
        """Removes everything."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _of(self, chunk: int) -> Path:
        return self.path / f"parts-{chunk // _SHARD:05d}" / f"{chunk:08d}.part"
