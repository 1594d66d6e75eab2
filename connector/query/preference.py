"""A stable `preference` for searches whose first stage gives every hit the same score. Pure.

Their order is that of the shards' internal ids, which differs from replica to replica: without it the window would
hold other hits from page to page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from connector.query.asked import Asked

__all__ = ["stable"]


def stable(asked: Asked, query: str) -> dict[str, str]:
    """The parameter to add; none where scores tell the hits apart, or the request chooses its shards itself."""
    if "preference" in asked.params or "pit" in asked.tree or "q" in asked.params or not _is_constant(asked.tree):
        return {}
    return {"preference": f"rerank-{hashlib.blake2b(query.encode(), digest_size=4).hexdigest()}"}


def _is_constant(tree: Mapping[str, Any]) -> bool:
    others = any(name in tree for name in ("knn", "retriever", "rank", "rescore"))
    return not others and _scores_alike(tree.get("query", {"match_all": {}}))


def _scores_alike(query: Any) -> bool:
    """Whether every hit of the query gets one score."""
    if not isinstance(query, Mapping) or len(query) != 1:
        return False
    kind, body = next(iter(query.items()))
    if kind == "bool" and isinstance(body, Mapping):
        scoring = [body[name] for name in ("must", "should") if body.get(name)]
        return not scoring or (len(scoring) == 1 and _one_alike(scoring[0]))
    return kind in ("constant_score", "match_all")


def _one_alike(clauses: Any) -> bool:
    return _scores_alike(clauses[0] if isinstance(clauses, list) and len(clauses) == 1 else clauses)
