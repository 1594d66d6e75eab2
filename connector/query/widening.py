"""How far a search is widened: the window, and what must grow with it so that the engine fills it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from connector.query.asked import Asked, listed
from connector.settings import MAX_SIZE

__all__ = ["Change", "Widened", "widen"]

Path = tuple[str | int, ...]
#: Retrievers that merge the lists of others, each cut to `rank_window_size`.
_COMPOUND = ("rrf", "linear")
#: Retrievers and rescorers that score by a model: asking them for more hits costs.
_COSTLY = frozenset({"text_similarity_reranker", "rescorer"})


@dataclass(frozen=True, slots=True)
class Change:
    """A number to be set at a place in the body."""

    path: Path
    value: int


@dataclass(frozen=True, slots=True)
class Widened:
    """The window, and the changes to the body besides `from` and `size`."""

    window: int
    changes: tuple[Change, ...]


def widen(asked: Asked, window: int, *, lexical: bool, raise_k: bool) -> Widened:
    """The window that this search allows, and what else must be set for it.

    Args:
        lexical: whether words are searched as well: then hits beyond kNN's `k` come from there.
        raise_k: `k` and `num_candidates` may be raised to the window, unless aggregations are computed over the top k.
    """
    tree = asked.tree
    vectors = list(_vectors(tree))
    raising = raise_k and not (tree.get("aggs") or tree.get("aggregations"))
    if vectors and not lexical and not raising and all(vector.bounded for vector in vectors):
        window = max(1, min(window, sum(vector.k or asked.size for vector in vectors)))
    window, changes = _ranked_lists(tree, asked.size, window)
    for vector in vectors:
        changes += vector.changes(window if raising else 0, asked.size)
    return Widened(window, tuple(changes))


@dataclass(frozen=True, slots=True)
class _Vector:
    """A kNN clause."""

    path: Path
    body: Mapping[str, Any]
    #: Elasticsearch's form: `k` may be absent and is then the request's `size`.
    implied_k: bool

    @property
    def k(self) -> int | None:
        value = self.body.get("k")
        return value if _is_length(value) else None

    @property
    def bounded(self) -> bool:
        """Whether it matches the top k; OpenSearch's radial search matches all above a score."""
        return self.k is not None or (self.implied_k and "k" not in self.body)

    def changes(self, wanted: int, size: int) -> list[Change]:
        """Raises `k` to `wanted`; an absent one is written down, since `size` is about to change."""
        if not self.bounded:
            return []
        k = self.k or size
        raised = min(max(k, wanted), MAX_SIZE)
        changes = [Change((*self.path, "k"), raised)] if raised != self.k else []
        candidates = self.body.get("num_candidates")
        if _is_length(candidates) and candidates < raised:
            changes.append(Change((*self.path, "num_candidates"), raised))
        return changes


def _vectors(tree: Mapping[str, Any]) -> Iterator[_Vector]:
    section = tree.get("knn")
    if isinstance(section, list):
        for index, body in enumerate(section):
            if isinstance(body, Mapping):
                yield _Vector(("knn", index), body, True)
    elif isinstance(section, Mapping):
        yield _Vector(("knn",), section, True)
    for name in ("query", "retriever"):
        yield from _nested_vectors(tree.get(name), (name,))


def _nested_vectors(node: Any, path: Path) -> Iterator[_Vector]:
    if isinstance(node, list):
        for index, element in enumerate(node):
            yield from _nested_vectors(element, (*path, index))
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key in ("knn", "neural") and isinstance(value, Mapping):
                yield from _vector(value, (*path, key))
            elif key not in ("filter", "must_not"):
                yield from _nested_vectors(value, (*path, key))


def _vector(body: Mapping[str, Any], path: Path) -> Iterator[_Vector]:
    if isinstance(body.get("field"), str):
        yield _Vector(path, body, True)
        return
    for field, value in body.items():
        if isinstance(value, Mapping) and ("vector" in value or "query_text" in value):
            yield _Vector((*path, field), value, False)


def _ranked_lists(tree: Mapping[str, Any], size: int, window: int) -> tuple[int, list[Change]]:
    """Lists that are fused, rescored or cut at a length of their own: raised to the window, or the window to them."""
    retriever = tree.get("retriever")
    if isinstance(retriever, Mapping) and (limit := _costly_limit(retriever, size)) is not None:
        return max(1, min(window, limit)), []
    changes = [
        Change((*path, name), window)
        for path, name, length in (*_compounds(retriever, ("retriever",), size), *_lists(tree, size))
        if length < window
    ]
    return window, changes


def _costly_limit(retriever: Mapping[str, Any], size: int) -> int | None:
    """The length of the outermost list, where a model orders some list in the tree."""
    if not any(key in _COSTLY for key in _keys_below(retriever)):
        return None
    lengths = [body.get("rank_window_size", size) for body in retriever.values() if isinstance(body, Mapping)]
    return min((length for length in lengths if _is_length(length)), default=size)


def _keys_below(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield key
            yield from _keys_below(value)
    elif isinstance(node, list):
        for element in node:
            yield from _keys_below(element)


def _compounds(node: Any, path: Path, size: int) -> Iterator[tuple[Path, str, int]]:
    """Fusing retrievers: (path, name of the length, the length)."""
    if not isinstance(node, Mapping):
        return
    for kind, body in node.items():
        if isinstance(body, Mapping):
            if kind in _COMPOUND:
                yield (*path, kind), "rank_window_size", _length(body.get("rank_window_size"), size)
            for index, inner in enumerate(listed(body.get("retrievers"))):
                below: Path = (*path, kind, "retrievers", index)
                wrapped = isinstance(inner, Mapping) and "retriever" in inner
                yield from _compounds(
                    inner["retriever"] if wrapped else inner, (*below, "retriever") if wrapped else below, size
                )


def _lists(tree: Mapping[str, Any], size: int) -> Iterator[tuple[Path, str, int]]:
    """The same for `rank.rrf`, OpenSearch's `hybrid` and `rescore`."""
    fused = tree.get("rank", {}).get("rrf") if isinstance(tree.get("rank"), Mapping) else None
    if isinstance(fused, Mapping):
        name = "window_size" if "window_size" in fused else "rank_window_size"
        yield ("rank", "rrf"), name, _length(fused.get(name), size)
    hybrid = tree.get("query", {}).get("hybrid") if isinstance(tree.get("query"), Mapping) else None
    if isinstance(hybrid, Mapping) and "pagination_depth" in hybrid:
        yield ("query", "hybrid"), "pagination_depth", _length(hybrid["pagination_depth"], size)
    rescore = tree.get("rescore")
    for index, rescorer in enumerate(rescore if isinstance(rescore, list) else [rescore]):
        if isinstance(rescorer, Mapping):
            path: Path = ("rescore", index) if isinstance(rescore, list) else ("rescore",)
            yield path, "window_size", _length(rescorer.get("window_size"), 10)


def _length(value: Any, default: int) -> int:
    """A length; what the engine shall refuse is never raised."""
    return default if value is None else value if _is_length(value) else MAX_SIZE


def _is_length(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
