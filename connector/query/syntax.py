"""The words in a query that is written in Lucene's syntax or in that of `simple_query_string`. Pure."""

from __future__ import annotations

import re

__all__ = ["lucene", "simple"]

#: Pieces of Lucene's query syntax, each tried in this order at each place.
_LUCENE = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<operator>AND\b|OR\b|&&|\|\||\+)
  | (?P<negation>NOT\b|[-!])
  | (?P<field>(?:[^\s:()"\[\]{}~^\\+\-!/<>=]|\\.)(?:[^\s:()"\[\]{}~^\\/<>=]|\\.)*):
  | (?P<comparison>[<>]=?\S+)
  | (?P<range>[\[{][^\]}]*[\]}])
  | (?P<regex>/(?:[^/\\]|\\.)*/)
  | (?P<phrase>"(?:[^"\\]|\\.)*"?)
  | (?P<suffix>[~^]\d*(?:\.\d+)?)
  | (?P<open>\()
  | (?P<close>\))
  | (?P<term>(?:[^\s()"\[\]{}~^\\]|\\.)+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_WILDCARDS = re.compile(r"[*?]+")
_SIMPLE_NEGATION = re.compile(r"(?:^|(?<=[\s(|+]))-(?:\"[^\"]*\"|\([^)]*\)|\S+)")
_SIMPLE_SIGNS = re.compile(r"[+|()\"*]|~\d*")


def lucene(query: str) -> tuple[str, tuple[str, ...], bool]:
    """The words of a Lucene query: (text, fields that it names, whether a word names no field).

    What is excluded (`NOT a`, `-a`), ranges, regular expressions and wildcards alone are no words.
    """
    reader = _Reader()
    for match in _LUCENE.finditer(query):
        reader.take(match.lastgroup or "other", match[match.lastgroup or 0])
    return " ".join(reader.words), tuple(dict.fromkeys(reader.fields)), reader.bare


def simple(query: str) -> str:
    """The words of a `simple_query_string`."""
    return " ".join(_SIMPLE_SIGNS.sub(" ", _SIMPLE_NEGATION.sub(" ", query)).split())


class _Reader:
    """Collects words, with the field and the negation in force where they stand."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.fields: list[str] = []
        self.bare = False
        self._field: str | None = None
        self._negated = False
        #: What was in force before each open parenthesis.
        self._outer: list[tuple[str | None, bool]] = []
        self._group: tuple[str | None, bool] = (None, False)

    def take(self, kind: str, piece: str) -> None:
        if kind == "negation":
            self._negated = True
        elif kind == "field":
            self._field = _ESCAPE.sub(r"\1", piece)
        elif kind == "open":
            self._outer.append(self._group)
            self._group = (self._field, self._negated)
        elif kind == "close":
            self._group = self._outer.pop() if self._outer else (None, False)
            self._field, self._negated = self._group
        elif kind in ("term", "phrase"):
            self._word(piece.strip('"') if kind == "phrase" else piece)
            self._field, self._negated = self._group
        elif kind in ("range", "regex", "comparison"):
            self._field, self._negated = self._group

    def _word(self, piece: str) -> None:
        word = _ESCAPE.sub(r"\1", _WILDCARDS.sub(" ", piece)).strip()
        if not word or self._negated or self._field == "_exists_":
            return
        self.words.append(word)
        if self._field and self._field.strip("*"):
            self.fields.append(self._field)
        else:
            self.bare = True
