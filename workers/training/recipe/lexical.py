"""BM25 in memory (bm25s): the lexical side of the candidate lists and of the development windows."""

from __future__ import annotations

from collections.abc import Sequence

import bm25s
import numpy as np
import Stemmer

__all__ = ["Index"]


class Index:
    """BM25 (k1 0.9, b 0.4, English stop words, Snowball stemmer) over passages, which are named by their position."""

    def __init__(self, passages: Sequence[str]) -> None:
        self._stemmer = Stemmer.Stemmer("english")
        self._bm25 = bm25s.BM25(k1=0.9, b=0.4)
        self._bm25.index(self._tokens(passages), show_progress=False)
        self._nothing = np.zeros(len(passages), dtype=np.float32)

    def top(self, queries: Sequence[str], depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions and scores of the best `depth` passages for each query, best first: two [queries, depth] arrays."""
        rows, scores = self._bm25.retrieve(self._tokens(queries), k=depth, show_progress=False)
        return rows, scores

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """Scores of all passages for each query: [queries, passages] float32."""
        tokens = bm25s.tokenize(
            list(queries), stopwords="en", stemmer=self._stemmer, return_ids=False, show_progress=False
        )
        return np.stack([self._bm25.get_scores(row) if row else self._nothing for row in tokens])

    def _tokens(self, texts: Sequence[str]) -> bm25s.tokenization.Tokenized:
        return bm25s.tokenize(list(texts), stopwords="en", stemmer=self._stemmer, show_progress=False)
