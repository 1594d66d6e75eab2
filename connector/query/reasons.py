"""Why a search is not reranked: a closed list, each with the sentence that clients and operators read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Reason", "Skip"]


class Reason(StrEnum):
    """Why a search goes to the engine as it is. The value is what programs read."""

    MALFORMED = "malformed"
    FORMAT = "format"
    NO_HITS_ASKED = "no_hits_asked"
    BEYOND_WINDOW = "beyond_window"
    BEYOND_LIMIT = "beyond_limit"
    NO_QUERY_TEXT = "no_query_text"
    SHORT_QUERY = "short_query"
    SORT = "sort"
    SEARCH_AFTER = "search_after"
    SCROLL = "scroll"
    SLICE = "slice"
    ALREADY_RERANKED = "already_reranked"
    PINNED = "pinned"
    SEARCH_PIPELINE = "search_pipeline"
    FILTER_PATH = "filter_path"
    TEXT_UNAVAILABLE = "text_unavailable"

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.MALFORMED: "the request's JSON or paging values cannot be read: the engine is to answer it",
    Reason.FORMAT: "the response is asked for in another form than plain JSON",
    Reason.NO_HITS_ASKED: "no hits are asked for (size 0)",
    Reason.BEYOND_WINDOW: "the page begins behind the window",
    Reason.BEYOND_LIMIT: "from + size is more than the engine returns (10,000)",
    Reason.NO_QUERY_TEXT: "the query holds no text that relevance could be judged by",
    Reason.SHORT_QUERY: "the query has fewer words than the policy asks for",
    Reason.SORT: "the hits are sorted by something else than the score",
    Reason.SEARCH_AFTER: "the search pages with search_after, which goes by the engine's order",
    Reason.SCROLL: "the search pages with scroll, whose pages must stay as they are",
    Reason.SLICE: "the search reads one slice of an export",
    Reason.ALREADY_RERANKED: "the request has the engine rerank the hits itself",
    Reason.PINNED: "the request pins hits to places of its own choice",
    Reason.SEARCH_PIPELINE: "the search pipeline reranks or truncates the hits",
    Reason.FILTER_PATH: "filter_path leaves out what reranking needs and cannot be put back",
    Reason.TEXT_UNAVAILABLE: "the client's fetch options leave no way to ask for the text of the hits",
}


@dataclass(frozen=True, slots=True)
class Skip:
    """The search is not reranked."""

    reason: Reason

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return self.reason.sentence
