"""The demo's tour: index the corpus, then search it with the engine alone, reranked, and reranked from the cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector import indexing, session
from connector.cli import results
from connector.embedded import pydocs
from connector.embedded.report import Report
from connector.embedded.stack import Stack
from connector.rerank import Outcome
from connector.settings import Policy

__all__ = ["INDEX", "run"]

INDEX = "pydocs"
_SHOWN = 5
_SIZE = 10
#: Two columns of this many characters fit a terminal of 80.
_NAME_WIDTH = 34


async def run(
    stack: Stack, queries: Iterable[str], policy: Policy, *, console: Console, report: Report
) -> dict[str, Any]:
    """Indexes, searches, prints; returns what `demo --json` writes."""
    async with session.connect(stack.environment) as connected:
        report.step("Indexing the docstrings of Python's standard library")
        indexed = await indexing.index(connected.engine, _rows(), index=INDEX)
        console.print(f"{indexed.documents:,} documents in {INDEX}\n", highlight=False)
        tours = [await _query(connected, query, policy, console) for query in queries]
    worker = stack.worker.heartbeat if stack.worker else None
    return {
        "engine": {"name": stack.engine_name, "version": stack.engine_version},
        "worker": {"model": worker.model, "backend": worker.backend} if worker else None,
        "documents": indexed.documents,
        "queries": tours,
    }


def _rows() -> Iterator[dict[str, Any]]:
    for document in pydocs.documents():
        yield {"_id": document.name, "title": document.name, "text": document.text, "kind": document.kind}


async def _query(connected: session.Session, query: str, policy: Policy, console: Console) -> dict[str, Any]:
    async def search(policy: Policy) -> Outcome:
        return await connected.search(query, index=INDEX, policy=policy, size=_SIZE, fields=("title", "text"))

    engine = await search(replace(policy, mode="off"))
    cold = await search(policy)
    cached = await search(policy)
    _show(console, query, engine, cold)
    console.print(Text("first  ", "dim") + results.times(cold), soft_wrap=True)
    console.print(Text("again  ", "dim") + results.times(cached), end="\n\n", soft_wrap=True)
    return {
        "query": query,
        "before": [row.id for row in results.rows(engine)],
        "after": [row.id for row in results.rows(cold)],
        "cold": _values(cold),
        "cached": _values(cached),
    }


def _show(console: Console, query: str, before: Outcome, after: Outcome) -> None:
    table = Table(title=Text(f"“{query}”"), title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("", justify="right", style="dim")
    table.add_column("BM25", no_wrap=True, width=_NAME_WIDTH)
    table.add_column("reranked", no_wrap=True, width=_NAME_WIDTH)
    table.add_column("was", justify="right", style="dim")
    for old, new in list(zip(results.rows(before), results.rows(after), strict=True))[:_SHOWN]:
        risen = new.old_rank is not None and new.old_rank > new.rank
        table.add_row(
            str(new.rank), Text(old.title, "dim"), Text(new.title, "green" if risen else ""), str(new.old_rank or "")
        )
    console.print(table)


def _values(outcome: Outcome) -> dict[str, Any]:
    t = outcome.timings
    return {
        "status": outcome.status,
        "total_ms": round(t.total_s * 1000, 2),
        "engine_ms": round(t.engine_s * 1000, 2),
        "score_ms": round(t.score_s * 1000, 2),
        "cache_hits": outcome.cache_hits,
    }
