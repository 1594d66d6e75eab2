"""BM25 in memory (bm25s): where hard negatives and held-out candidates come from when no engine is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import bm25s
import Stemmer

from workers.training.retrieval import Candidate

__all__ = ["Index"]


class Index:
    """BM25 (k1 0.9, b 0.4, English stop words, Snowball stemmer) over the passages of a collection."""

    def __init__(self, passages: Mapping[str, str]) -> None:
        self._candidates = [Candidate(id=name, text=text) for name, text in passages.items()]
        self._stemmer = Stemmer.Stemmer("english")
        self._bm25 = bm25s.BM25(k1=0.9, b=0.4)
        tokens = self._tokens(list(passages.values()))
        #: Whether any passage has a word that is no stop word: else there is nothing to index.
        self._searchable = any(tokens.ids)
        if self._searchable:
            self._bm25.index(tokens, show_progress=False)

    def top(self, queries: Sequence[str], depth: int) -> list[list[Candidate]]:
        """The best `depth` passages for each query, best first; those that share no word with it are left out."""
        if not queries or not self._searchable:
            return [[] for _ in queries]
        rows, scores = self._bm25.retrieve(
            self._tokens(queries), k=min(depth, len(self._candidates)), show_progress=False
        )
        return [
            [self._candidates[row] for row, score in zip(found, values, strict=True) if score > 0]
            for found, values in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def _tokens(self, texts: Sequence[str]) -> bm25s.tokenization.Tokenized:
        return bm25s.tokenize(list(texts), stopwords="en", stemmer=self._stemmer, show_progress=False)
