"""Which queries are held out: chosen by seed, never trained on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from connector.contract.errors import InputError
from workers.training.collection import Collection, JudgedQuery, normalised

__all__ = ["Split", "split"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """The queries of each collection, parted; both run along the collections."""

    train: tuple[tuple[JudgedQuery, ...], ...]
    held_out: tuple[tuple[JudgedQuery, ...], ...]


def split(collections: Sequence[Collection], *, share: float, most: int, seed: int) -> Split:
    """Holds out `share` of all queries, at most `most`; the same query in two collections goes one way.

    Raises:
        InputError: nothing would be left on one of the sides.
    """
    names = sorted({normalised(query.query) for collection in collections for query in collection.queries})
    count = min(most, round(share * len(names))) if share > 0 else 0
    if share > 0 and count == 0:
        raise InputError(
            f"{len(names)} queries are too few to hold out {share:.0%} of them: name more data or --holdout 0"
        )
    if count >= len(names):
        raise InputError("no query would be left to train on: hold out fewer")
    chosen = set(random.Random(seed).sample(names, count))
    return Split(
        train=tuple(_only(collection, chosen, wanted=False) for collection in collections),
        held_out=tuple(_only(collection, chosen, wanted=True) for collection in collections),
    )


def _only(collection: Collection, chosen: set[str], *, wanted: bool) -> tuple[JudgedQuery, ...]:
    return tuple(query for query in collection.queries if (normalised(query.query) in chosen) is wanted)
