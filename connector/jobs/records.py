"""A job as its record says it is: frozen values, read from a Redis hash. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from connector.jobs import spec
from connector.jobs.chunks import Place
from connector.jobs.spec import Spec

__all__ = ["Failure", "Record", "Status", "read"]

Status = Literal["queued", "running", "done", "incomplete", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A chunk that was set aside."""

    chunk: int
    first_line: int
    last_line: int
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A job as its record says it is."""

    spec: Spec
    digest: str
    #: Contents of each input, by its address.
    identities: Mapping[str, str]
    state: Status
    #: Milliseconds since the Unix epoch by the Redis server's clock; 0: not yet.
    created: int = 0
    started: int = 0
    finished: int = 0
    #: Chunks in all; None while the input has not been read to its end.
    chunks: int | None = None
    done: int = 0
    failed: int = 0
    bad: int = 0
    queries: int = 0
    pairs: int = 0
    #: Pairs whose score was stored before.
    cached: int = 0
    retries: int = 0
    #: Up to where everything is done, and bytes of the input.
    place: Place = field(default_factory=Place)
    size: int = 0
    #: Pinned when the job starts: scores of two models are never mixed.
    fingerprint: str = ""
    model: str = ""
    #: Why it failed; what it waits for.
    error: str = ""
    waiting: str = ""
    #: Pairs a second, lately.
    speed: float = 0.0
    owner: str = ""


def read(values: Mapping[str, bytes], failed: int, bad: int) -> Record:
    """The record in the fields of a hash, with the counts of failed chunks and bad lines."""

    def number(name: str) -> int:
        return int(values.get(name, b"0") or 0)

    def text(name: str) -> str:
        return values.get(name, b"").decode()

    return Record(
        spec=spec.decode(values["spec"]),
        digest=text("digest"),
        identities=json.loads(values["identities"]),
        state=cast("Status", text("state")),
        chunks=number("chunks") if values.get("chunks") else None,
        failed=failed,
        bad=bad,
        place=Place(chunk=number("place_chunk"), offset=number("place_offset"), line=number("place_line")),
        speed=float(text("speed") or 0),
        created=number("created"),
        started=number("started"),
        finished=number("finished"),
        done=number("done"),
        queries=number("queries"),
        pairs=number("pairs"),
        cached=number("cached"),
        retries=number("retries"),
        size=number("size"),
        fingerprint=text("fingerprint"),
        model=text("model"),
        error=text("error"),
        waiting=text("waiting"),
        owner=text("owner"),
    )
