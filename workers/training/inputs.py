"""The user's files, each read by its kind."""

from __future__ import annotations

from pathlib import Path

from workers.training import beir, clicks, pairs
from workers.training.collection import Collection
from workers.training.settings import Settings

__all__ = ["read"]


def read(settings: Settings) -> list[Collection]:
    """Every input of `settings`, checked; raises InputError with file and line."""
    corpus = beir.corpus(Path(settings.corpus)) if settings.corpus else None
    log = clicks.Settings(eta=settings.click_eta, satisfied_seconds=settings.satisfied_seconds)
    return [
        *(pairs.read(Path(path)) for path in settings.pairs),
        *(beir.read(Path(path), settings.split) for path in settings.data),
        *(clicks.read(Path(path), log, corpus) for path in settings.clicks),
    ]
