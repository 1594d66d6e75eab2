"""An explanation of a request as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector.proxy.explain import Explanation

__all__ = ["show"]

_DECISIONS = {
    "reranked": ("green", "is reranked"),
    "shadow": ("green", "is scored beside the answer, which stays the engine's (shadow)"),
    "skipped": ("yellow", "goes to the engine as it is"),
    "off": ("yellow", "goes to the engine as it is: reranking is off"),
    "passed_through": ("yellow", "passes through untouched"),
}


def show(console: Console, explanation: Explanation, title: str) -> None:
    """Prints what is decided, why, and what would be sent."""
    style, words = _DECISIONS[explanation.decision]
    console.print(Text.assemble((f"{title}: " if title else "", "bold"), (words, style)), soft_wrap=True)
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _lines(explanation):
        table.add_row(Text(name, "bold"), Text(value))
    console.print(table)
    for place, request in enumerate(explanation.sent):
        console.print(Text("then, narrowed to the hits of the page:" if place else "sent to the engine:", "bold"))
        console.print(Text(_request(request)), soft_wrap=True)


def _lines(explanation: Explanation) -> Iterator[tuple[str, str]]:
    if explanation.sentence:
        code = f" ({explanation.reason})" if explanation.reason else ""
        yield "why", explanation.sentence + code
    if explanation.query is not None:
        yield "question", explanation.query
        yield "text", ", ".join(explanation.fields) or "text fields of the mapping"
        yield "window", f"the first {explanation.window} hits of the engine"
        yield "page", f"{explanation.size} hits from {explanation.from_}"
        yield "model", explanation.model or ""
    if explanation.cut:
        yield "cut", f"{', '.join(explanation.cut)}: asked for on top, taken out of every hit"
    for note in explanation.notes:
        yield "note", note


def _request(request: Mapping[str, Any]) -> str:
    """The request with its body indented."""
    index = f"/{request['index']}" if request["index"] else ""
    params = f"?{urlencode(request['params'])}" if request["params"] else ""
    body = msgspec.json.format(bytes(request["body"]), indent=2).decode(errors="replace")
    return f"POST {index}/_search{params}\n{body}"
