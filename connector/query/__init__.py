"""What is done with a search, decided before it is sent. Pure.

asked        the request, read as the engines read it          options      options of ours, and their removal
blockers     what forbids reranking                            reasons      why a search is not reranked
discovery    the question, and the fields it is asked of       syntax       the words of a query string
widening     the window, and what must grow with it            preference   the same shards for every page
retrieval    the text of the hits, asked for on top            two_phase    costly fetch options for one page only
planning     all of it in one plan                             source_filter
"""

from connector.query.asked import SearchRequest
from connector.query.planning import Plan, plan
from connector.query.reasons import Reason, Skip

__all__ = ["Plan", "Reason", "SearchRequest", "Skip", "plan"]
