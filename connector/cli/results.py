"""A reranked search as people and as programs read it: a table with both ranks, one line of times, or plain values."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector import hits
from connector.rerank import Outcome

__all__ = ["Row", "as_values", "rows", "show", "times"]

_TITLE_FIELDS = ("title", "name", "headline", "subject")
_TITLE_CHARS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One hit of the page. Ranks count from 1; what was not reranked has no cross-encoder score."""

    rank: int
    old_rank: int | None
    id: str
    title: str
    score: float | None
    first_stage_score: float | None


def rows(outcome: Outcome) -> list[Row]:
    """The hits of a response that was searched with `Policy.details`."""
    # Not msgspec: an engine may hold lone surrogates, which it refuses.
    found: list[dict[str, Any]] = json.loads(outcome.response.body).get("hits", {}).get("hits", [])
    return [_row(place, hit) for place, hit in enumerate(found, start=1)]


def as_values(outcome: Outcome, query: str) -> dict[str, Any]:
    """What `search --json` prints."""
    timings = {name.replace("_s", "_ms"): _ms(value) for name, value in asdict(outcome.timings).items()}
    return {
        "query": query,
        "status": outcome.status,
        "reason": outcome.reason,
        "model": outcome.model,
        "candidates": outcome.candidates,
        "cache_hits": outcome.cache_hits,
        "tasks": outcome.tasks,
        "timings": timings,
        "hits": [asdict(row) for row in rows(outcome)],
    }


def show(console: Console, outcome: Outcome, title: str) -> None:
    """Prints the table and the line of times."""
    table = Table(title=Text(hits.clean(title)), title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name, justify in (("new", "right"), ("old", "right"), ("", "left"), ("title", "left")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("cross-encoder", justify="right")
    table.add_column("first stage", justify="right")
    found = rows(outcome)
    for row in found:
        table.add_row(
            str(row.rank),
            str(row.old_rank or "–"),
            _movement(row),
            Text(row.title),
            "–" if row.score is None else f"{row.score:.3f}",
            "–" if row.first_stage_score is None else f"{row.first_stage_score:.3f}",
        )
    if found:
        console.print(table)
    console.print(times(outcome), soft_wrap=True)


def times(outcome: Outcome) -> Text:
    """One line: what happened, what took how many milliseconds, and how many scores were stored before."""
    t = outcome.timings
    parts = (
        ("engine", t.engine_s),
        ("cache", t.cache_s),
        ("queue", t.queue_s),
        ("scoring", t.score_s),
        ("merge", t.merge_s),
    )
    spent = " · ".join(f"{name} {_ms(seconds):.0f}" for name, seconds in parts)
    line = Text(outcome.status, style="green" if outcome.status == "applied" else "yellow")
    line.append(f" {_ms(t.total_s):.0f} ms ({spent}), {outcome.cache_hits}/{outcome.candidates} cached", "dim")
    if outcome.reason:
        line.append(f"\n{outcome.reason}", "yellow")
    return line


def _row(place: int, hit: dict[str, Any]) -> Row:
    fields = hit.get("fields", {})
    return Row(
        rank=place,
        old_rank=_first(fields, "_rerank.first_stage_rank"),
        id=hit["_id"],
        title=_title(hit),
        score=_first(fields, "_rerank.score"),
        first_stage_score=_first(fields, "_rerank.first_stage_score", hit.get("_score")),
    )


def _first(fields: dict[str, Any], name: str, default: Any = None) -> Any:
    values = fields.get(name)
    return values[0] if values else default


def _title(hit: dict[str, Any]) -> str:
    source = hit.get("_source") or {}
    named = next((str(source[name]) for name in _TITLE_FIELDS if source.get(name)), None)
    title = named or next((value for value in source.values() if isinstance(value, str) and value), hit["_id"])
    line = " ".join(hits.clean(title).split())
    return line if len(line) <= _TITLE_CHARS else line[: _TITLE_CHARS - 1] + "…"


def _movement(row: Row) -> Text:
    if row.old_rank is None or row.old_rank == row.rank:
        return Text("·", "dim")
    return (
        Text(f"▲{row.old_rank - row.rank}", "green")
        if row.old_rank > row.rank
        else Text(f"▼{row.rank - row.old_rank}", "red")
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
