"""docs/reference.md is complete: every command and option as it is, every exit code, every variable that is read."""

from __future__ import annotations

import re
from pathlib import Path

from connector.contract import errors
from tests import reference

ROOT = Path(__file__).parents[2]


def test_the_commands_are_written_as_they_are() -> None:
    assert reference.written() == reference.rendered() + "\n", "run: python -m tests.reference"


def test_every_variable_that_is_read_is_explained() -> None:
    read = {
        variable
        for package in ("connector", "workers", "mappings")
        for file in (ROOT / package).rglob("*.py")
        for variable in re.findall(r"RERANK_BRIDGE_[A-Z]+(?:_[A-Z]+)*", file.read_text(encoding="utf-8"))
    }
    table = reference.FILE.read_text(encoding="utf-8").partition(reference.BEGIN)[0]
    explained = set(re.findall(r"^\| `(RERANK_BRIDGE_[A-Z_]+)`", table, flags=re.MULTILINE))
    assert explained == read


def test_every_exit_code_is_explained() -> None:
    def codes(error: type[errors.RerankBridgeError]) -> set[int]:
        return {error.exit_code}.union(*(codes(kind) for kind in error.__subclasses__()))

    table = reference.FILE.read_text(encoding="utf-8").partition(reference.BEGIN)[0]
    explained = {int(code) for code in re.findall(r"^\| (\d+) \|", table, flags=re.MULTILINE)}
    assert explained == codes(errors.RerankBridgeError) | {0, 130}
