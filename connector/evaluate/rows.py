"""Lines of JSONL and TSV files; what cannot be read is named by file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connector.contract.errors import InputError

__all__ = ["identity", "json_rows", "lines", "text_field"]


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file that are not blank, numbered from 1, without their ends.

    Raises:
        InputError: there is no such file, or it is not UTF-8.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except OSError as exc:
        raise InputError(f"{path}: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise InputError.at(path, number + 1, f"not UTF-8 ({exc.reason})") from exc


def json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file with their line numbers.

    Raises:
        InputError: a line that is no JSON object; and as `lines`.
    """
    for number, line in lines(path):
        try:
            row = json.loads(line)
        except ValueError as exc:
            raise InputError.at(path, number, f"not JSON ({exc})") from exc
        if not isinstance(row, dict):
            raise InputError.at(path, number, "not a JSON object")
        yield number, row


def identity(path: Path, number: int, row: dict[str, Any]) -> str:
    """The `_id` of a row, a string or a whole number.

    Raises:
        InputError: it is missing, empty, or something else.
    """
    value = row.get("_id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise InputError.at(path, number, f"_id is {value!r}: a string that is not empty")
    if any(character.isspace() for character in value):
        raise InputError.at(path, number, f"_id {value!r} has a space, which run files and judgments cannot carry")
    return value


def text_field(path: Path, number: int, row: dict[str, Any], name: str, *, required: bool = True) -> str:
    """A row's text.

    Raises:
        InputError: it is missing where it is required, or no string.
    """
    value = row.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise InputError.at(path, number, f"{name!r} is {'missing' if name not in row else 'not a string'}")
    return value
