"""How the text of the hits is asked for beside what the client wants to see, and what is taken out again. Pure.

Where the client sees whole documents, nothing is added. Where it sees none, `_source` is asked for and cut from every
hit. Where it sees a part, the text comes through the `fields` option, which is cut likewise. Under `filter_path` the
paths of all this, and of the score, are added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from connector.query import source_filter
from connector.query.asked import Asked
from connector.query.reasons import Reason, Skip
from connector.query.source_filter import SourceFilter

__all__ = ["Retrieval", "retrieval"]

#: What fills a hit's `fields`.
_FIELD_OPTIONS = ("fields", "docvalue_fields", "script_fields", "stored_fields", "collapse")
#: Paths that show every hit whole.
_WHOLE = frozenset({"hits", "hits.hits", "hits.*", "hits.hits.*", "*", "**"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrieval:
    """Changes to the request, and the members to be cut from each hit of the response."""

    body: Mapping[str, bytes] = field(default_factory=dict)
    #: Parameters to replace; None: left out.
    params: Mapping[str, str | None] = field(default_factory=dict)
    cut: tuple[str, ...] = ()
    #: `filter_path` names pieces of a hit: nothing may be added to the response, and a hit with none of them is no hit.
    filtered: bool = False


def retrieval(asked: Asked, wanted: Sequence[str]) -> Retrieval | Skip:
    """What to add to the request so that the fields `wanted` come along; empty: they are not known.

    Returns Skip where the client's own options leave no way.
    """
    source = source_filter.read(asked)
    if source is None:
        return Skip(Reason.TEXT_UNAVAILABLE)
    paths = [path for path in asked.params.get("filter_path", "").split(",") if path]
    included = [path for path in paths if not path.startswith("-")]
    if any(path[1:].startswith(("hits", "*")) for path in paths if path.startswith("-")):
        return Skip(Reason.FILTER_PATH)
    if not included or _WHOLE & set(included):
        return _unfiltered(asked, source, wanted)
    return _filtered(asked, source, wanted, included)


def _unfiltered(asked: Asked, source: SourceFilter, wanted: Sequence[str]) -> Retrieval | Skip:
    if source.shown == "all" or (source.shown == "part" and wanted and all(source.covers(name) for name in wanted)):
        return Retrieval()
    if source.shown == "none":
        return hidden_source(wanted)
    return _through_fields(asked, wanted)


def hidden_source(wanted: Sequence[str]) -> Retrieval:
    """Asks for `_source`, of which the client shall see nothing."""
    names = [*wanted, *(name.rsplit(".", 1)[0] for name in wanted if "." in name)]  # title.english is in title
    return Retrieval(
        body={"_source": msgspec.json.encode(list(dict.fromkeys(names)) or True)},
        params=dict.fromkeys(source_filter.PARAMETERS),
        cut=("_source",),
    )


def _through_fields(asked: Asked, wanted: Sequence[str]) -> Retrieval | Skip:
    if not wanted or any(option in asked.tree or option in asked.params for option in _FIELD_OPTIONS):
        return Skip(Reason.TEXT_UNAVAILABLE)
    return Retrieval(body={"fields": msgspec.json.encode(list(wanted))}, cut=("fields",))


def _filtered(asked: Asked, source: SourceFilter, wanted: Sequence[str], paths: list[str]) -> Retrieval | Skip:
    if any("*" in ".".join(path.split(".")[:3]) or "\\" in path for path in paths):
        return Skip(Reason.FILTER_PATH)
    inner = [path.removeprefix("hits.hits.") for path in paths if path.startswith("hits.hits.")]
    shown = {path.split(".", 1)[0] for path in inner}
    if not shown:
        return Skip(Reason.FILTER_PATH)
    if "_source" not in shown:
        base: Retrieval | Skip = hidden_source(wanted)
    elif "_source" in inner:
        base = _unfiltered(asked, source, wanted)
    else:
        base = _through_fields(asked, wanted)
    if isinstance(base, Skip) or "fields" in shown & set(base.cut):
        return Skip(Reason.FILTER_PATH)
    cut = tuple(dict.fromkeys((*base.cut, *({"_score"} - shown))))
    added = ",".join([asked.params["filter_path"], *(f"hits.hits.{name}" for name in cut)])
    return Retrieval(body=base.body, params={**base.params, "filter_path": added}, cut=cut, filtered=True)
