"""Finds the lines of large JSONL files by their `_id`: an SQLite file of offsets, built once, never held in memory."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from connector.contract.errors import InputError
from connector.jobs import files, inputs

__all__ = ["Lines", "build"]

_BLOCK = 1 << 20
_MANY = 10_000


class _Row(msgspec.Struct):
    identity: str | int = msgspec.field(name="_id")


_rows = msgspec.json.Decoder(_Row)


def build(where: str, folder: Path) -> Lines:
    """The lines of `where` by id; what was built in `folder` before is used again. A URL is copied there first.

    Raises:
        InputError: it cannot be read, or a line has no `_id`; names the line.
    """
    name = blake2b(f"{where}\0{files.identity(where)}".encode(), digest_size=8).hexdigest()
    database = folder / f"{name}.sqlite"
    source = Path(where)
    if files.is_url(where):
        source = folder / f"{name}.jsonl"
        if not source.exists():
            _copy(where, source)
    if not database.exists():
        partial = database.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        _fill(where, source, partial)
        partial.replace(database)
    return Lines(where, source, database)


class Lines:
    """Rows of one file. For one thread at a time."""

    def __init__(self, where: str, source: Path, database: Path) -> None:
        self.where = where
        self._file = source.open("rb")
        self._database = sqlite3.connect(database, check_same_thread=False)

    def get(self, identity: str) -> dict[str, Any] | None:
        """The row of `identity`; None where there is none."""
        found = self._database.execute("SELECT at, length FROM lines WHERE id = ?", (identity,)).fetchone()
        if found is None:
            return None
        self._file.seek(found[0])
        row: dict[str, Any] = msgspec.json.decode(self._file.read(found[1]).removeprefix(inputs.MARK))
        return row

    def close(self) -> None:
        """Lets go of both files."""
        self._file.close()
        self._database.close()


def _copy(where: str, target: Path) -> None:
    partial = target.with_suffix(".partial")
    with files.opened(where) as source, partial.open("wb") as file:
        shutil.copyfileobj(source, file, _BLOCK)
    partial.replace(target)


def _fill(where: str, source: Path, partial: Path) -> None:
    database = sqlite3.connect(partial)
    try:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("CREATE TABLE lines (id TEXT PRIMARY KEY, at INTEGER, length INTEGER) WITHOUT ROWID")
        with files.opened(str(source)) as file:
            rows = _ids(where, inputs.lines(file))
            while batch := [row for row, _ in zip(rows, range(_MANY), strict=False)]:
                # The first of two lines with one id counts.
                database.executemany("INSERT OR IGNORE INTO lines VALUES (?, ?, ?)", batch)
        database.commit()
    finally:
        database.close()


def _ids(where: str, found: Iterable[inputs.Line]) -> Iterator[tuple[str, int, int]]:
    before = 0
    for line in found:
        if line.data is None:
            raise InputError.at(where, line.number, f"longer than {inputs.MAX_LINE:,} bytes")
        try:
            row = _rows.decode(line.data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise InputError.at(where, line.number, f"no JSON object with an _id: {exc}") from exc
        yield str(row.identity), before, line.end - before
        before = line.end
