"""The user's files, each read by its kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from workers.training import beir, clicks, pairs
from workers.training.collection import Collection, digest
from workers.training.settings import Settings

__all__ = ["read"]


def read(settings: Settings) -> list[Collection]:
    """Every input of `settings`, checked; raises InputError with file and line."""
    log = clicks.Settings(eta=settings.click_eta, satisfied_seconds=settings.satisfied_seconds)
    return [
        *(pairs.read(Path(path)) for path in settings.pairs),
        *(beir.read(Path(path), settings.split) for path in settings.data),
        *_clicks(settings, log),
    ]


def _clicks(settings: Settings, log: clicks.Settings) -> Iterator[Collection]:
    if settings.corpus is None or not settings.clicks:
        yield from (clicks.read(Path(path), log) for path in settings.clicks)
        return
    corpus = beir.corpus(Path(settings.corpus))
    texts = {settings.corpus: digest(Path(settings.corpus))}
    for path in settings.clicks:
        found = clicks.read(Path(path), log, corpus)
        yield replace(found, digests={**found.digests, **texts})
