"""JSON lines, read so that every problem can be told with its file and line."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from connector.contract.errors import InputError

__all__ = ["Row", "lines", "passage", "read"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One JSON object of a file; the accessors raise InputError naming file and line."""

    path: Path
    #: 1-based.
    line: int
    fields: Mapping[str, object]

    def error(self, problem: str) -> InputError:
        """The error to raise for this line."""
        return InputError.at(self.path, self.line, problem)

    def text(self, *names: str) -> str:
        """The first of the fields `names` that is there: a string with more than white space in it."""
        for name in names:
            if name in self.fields:
                value = self.fields[name]
                if not isinstance(value, str) or not value.strip():
                    raise self.error(f'"{name}" must be a text that is not empty')
                return value.strip()
        raise self.error(f"no field {' or '.join(names)}")

    def optional_text(self, name: str) -> str:
        """The field `name`, or an empty string where it is missing or null."""
        value = self.fields.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.error(f'"{name}" must be a text')
        return value.strip()

    def number(self, name: str) -> float | None:
        """The field `name` as a finite number, or None where it is missing or null."""
        value = self.fields.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.error(f'"{name}" must be a number, not {value!r}')
        return float(value)

    def objects(self, name: str) -> list[object]:
        """The field `name` as a list; empty where it is missing or null."""
        value = self.fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error(f'"{name}" must be a list')
        return value


def read(path: Path) -> Iterator[Row]:
    """The objects of a JSON-lines file (`.gz` is unpacked), blank lines left out.

    Raises:
        InputError: no such file, a line that is no JSON object, text that is not UTF-8.
    """
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except ValueError as exc:
            raise InputError.at(path, number, f"no JSON: {exc}") from exc
        if not isinstance(fields, dict):
            raise InputError.at(path, number, "each line must be one JSON object")
        yield Row(path=path, line=number, fields=fields)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their 1-based numbers; `.gz` is unpacked.

    Raises:
        InputError: no such file, a broken archive, text that is not UTF-8.
    """
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                yield number, line
    except UnicodeDecodeError as exc:
        raise InputError.at(path, number + 1, "not UTF-8") from exc
    except (OSError, EOFError) as exc:
        raise InputError(f"{path}: {getattr(exc, 'strerror', None) or exc}") from exc


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="\n")
    return path.open(encoding="utf-8", newline="\n")


def passage(title: str, text: str) -> str:
    """What the model reads of a document: its title and text as one field."""
    return f"{title} {text}".strip()
