"""One evaluation from end to end: connect, index, search, score, judge."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from connector.evaluate import collect, latency, result, servers, subject
from connector.evaluate.collect import Collected
from connector.evaluate.latency import Latency
from connector.evaluate.request import Narrator, Request
from connector.evaluate.result import About, Result
from connector.evaluate.servers import Connected
from connector.evaluate.subject import Files, Subject

__all__ = ["run"]

#: Recall@100 looks at so many, however small the window.
_FETCHED = 100


async def run(request: Request, files: Files, environment: Mapping[str, str], narrator: Narrator) -> Result:
    """Evaluates, with the servers that `environment` names.

    Raises:
        InputError: a judgment or a run names a document that does not exist.
        ConfigurationError, EngineError, ScoringError: as their names say.
    """
    searches = not isinstance(request.data, Path) or files.run is None
    async with servers.connected(environment, engine=searches) as found:
        if isinstance(request.data, Path):
            about = await subject.of_folder(request, files, found, narrator)
        else:
            about = await subject.of_index(request, files, found)
        started = time.monotonic()
        with narrator.bar("Queries", len(about.topics.queries)) as advance:
            collected = await collect.collect(
                about.topics,
                about.source,
                found.scorer if request.rerank else None,
                alias=request.policy.model,
                passages=request.policy.passages,
                window=request.policy.window,
                windows=request.depths,
                size=max(_FETCHED, *request.depths),
                progress=advance,
            )
        seconds = time.monotonic() - started
        timed = _latency(request, about, collected, found)
    narrator.step("Measuring")
    named = About(
        data=about.name,
        first_stage=about.first_stage,
        policy=request.policy,
        windows=request.depths,
        seconds=seconds,
    )
    return result.judge(named, about.topics, collected, timed)


def _latency(request: Request, about: Subject, collected: Collected, found: Connected) -> Latency | None:
    """The timings of this run, or, where its scores were stored before, those of the run that stored them."""
    if not collected.timings:
        return None
    window = request.policy.window
    measured = latency.summary(collected.timings, window)
    what = (
        collected.fingerprint,
        request.policy.passages,
        about.place,
        about.first_stage,
        request.depths,
        *about.topics.queries,
    )
    if measured.cold:
        latency.remember(found.urls, what, measured)
        return measured
    return latency.recall(found.urls, what, window) or measured
