"""What a job is asked to do: one frozen value, stored in its record and never changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, get_args

import msgspec

from connector.contract import passages
from connector.contract.errors import ConfigurationError
from connector.first_stage import Mode
from connector.jobs import files
from connector.settings import Fusion

__all__ = ["Form", "Method", "OutputForm", "Spec", "decode"]

Form = Literal["documents", "queries", "log", "run", "msearch"]
Method = Literal["none", "rrf", "minmax", "zscore"]
OutputForm = Literal["jsonl", "trec", "index", "cache"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
#: How a job is run, not what comes out of it: another submit may change these.
_MANNERS = frozenset({"skip_bad", "rate", "max_in_flight", "attempts", "overwrite"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """One job. Paths are absolute or URLs, without credentials."""

    id: str
    source: str
    form: Form
    #: First stage of `queries` and `log`, default index of `msearch`, texts of a `run` without a corpus.
    index: str | None = None
    mode: Mode = "bm25"
    fields: tuple[str, ...] = ()
    vector_field: str | None = None
    #: Texts and queries of a `run`: JSON lines with `_id`.
    corpus: str | None = None
    queries: str | None = None
    model: str = "default"
    passages: str = passages.TRUNCATE
    #: Candidates that are reranked; what an input holds beyond them keeps its order below. None: all.
    window: int | None = None
    #: How the first stage's scores and the cross-encoder's become one order, where the input or the search gives any.
    fusion: Method = Fusion().method
    #: None: kept in the coordinator's folder, for `jobs results`.
    output: str | None = None
    output_form: OutputForm = "jsonl"
    #: Index to write back into.
    into: str | None = None
    tag: str = "rerank-bridge"
    #: Whether JSON lines carry the documents' texts.
    texts: bool = False
    #: Estimated tokens of a chunk.
    chunk_tokens: int = 32_768
    overwrite: bool = False
    skip_bad: bool = False
    #: Pairs a second, at most; None: as fast as the workers are.
    rate: float | None = None
    #: Chunks under way, at most; None: two a live worker.
    max_in_flight: int | None = None
    #: Failures after which a chunk is set aside.
    attempts: int = 5

    def __post_init__(self) -> None:
        """Refuses what cannot be run, in words."""
        if not _ID.fullmatch(self.id):
            raise ConfigurationError(f"--id {self.id!r}: up to 100 letters, digits, dots, dashes and underscores")
        for name, value, kind in (
            ("input form", self.form, Form),
            ("output form", self.output_form, OutputForm),
            ("fusion", self.fusion, Method),
        ):
            if value not in get_args(kind):
                raise ConfigurationError(f"{name} {value!r}: one of {', '.join(get_args(kind))}")
        if self.form in ("queries", "log") and not self.index:
            raise ConfigurationError("queries are searched first: name the index with --index")
        if self.form == "run" and not (self.corpus or self.index):
            raise ConfigurationError("a run holds ids only: name its texts with --corpus FOLDER or --index NAME")
        if self.form == "run" and not self.queries:
            raise ConfigurationError("a run holds ids only: name its queries with --queries FILE or --corpus FOLDER")
        if (self.output_form == "index") != bool(self.into):
            raise ConfigurationError("--into INDEX and --output-form index go together")
        if self.output and self.output_form in ("index", "cache"):
            raise ConfigurationError(f"--output-form {self.output_form} writes no file: leave --output out")
        for name, number in (("--window", self.window), ("--max-in-flight", self.max_in_flight), ("--rate", self.rate)):
            if number is not None and number <= 0:
                raise ConfigurationError(f"{name} {number}: above 0")
        if not 256 <= self.chunk_tokens <= 1 << 22 or self.attempts < 1:
            raise ConfigurationError("--chunk-tokens is 256 to 4,194,304, --attempts at least 1")
        passages.parse(self.passages)
        for where in self.inputs:
            files.refuse_credentials(where)
        if self.output:
            files.refuse_credentials(self.output)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Everything that is read."""
        return tuple(where for where in (self.source, self.corpus, self.queries) if where)

    def digest(self, identities: Mapping[str, str]) -> str:
        """16 hexadecimal digits of what comes out: the spec without its manners, and the inputs' contents."""
        asked = msgspec.to_builtins(self)
        said = {name: value for name, value in asked.items() if name not in _MANNERS}
        message = msgspec.json.encode([said, dict(identities)], order="sorted")
        return blake2b(message, digest_size=8).hexdigest()

    def encode(self) -> bytes:
        """JSON, for the job's record."""
        return msgspec.json.encode(self)


def decode(data: bytes) -> Spec:
    """The inverse of `Spec.encode`.

    Raises:
        ConfigurationError: no spec, or one that cannot be run.
    """
    try:
        return msgspec.json.decode(data, type=Spec)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"the job cannot be read: {exc}") from exc
