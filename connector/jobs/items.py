"""What an input holds: items, each a query with its documents or with the search that finds them. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field

from connector.query import SearchRequest

__all__ = ["UNKNOWN_TOKENS", "Bad", "Document", "Item", "tokens"]

#: Tokens of a document that is not read yet, and the most that one counts: models read the beginning.
UNKNOWN_TOKENS = 200
_MOST_TOKENS = 512
#: Characters of English in a word piece, roughly.
_CHARACTERS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A candidate. `text` is None where it is still to be looked up, or where there is none."""

    id: str
    text: str | None = field(default=None, repr=False)
    #: The first stage's score, where the input gives one.
    score: float | None = None
    #: Where it stands in the input.
    line: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One query. Without `documents` they are searched for: by `request`, or by the query's text."""

    id: str
    query: str
    documents: tuple[Document, ...] | None = None
    request: SearchRequest | None = None
    #: Estimated tokens that its scoring costs.
    cost: int
    #: First line (from 1) and last, and the offset in bytes after it.
    line: int
    last: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Bad:
    """A line that cannot be used."""

    line: int
    problem: str


def tokens(query: str, text: str) -> int:
    """An estimate of the tokens of one pair: by length, since only workers have tokenizers."""
    return min((len(query) + len(text)) // _CHARACTERS + 4, _MOST_TOKENS)
