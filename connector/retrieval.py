"""How the text of the hits is asked for beside what the client wants to see, and what is taken out again. Pure.

Where the client sees whole documents, nothing is added. Where it sees none, `_source` is asked for and cut from every
hit. Where it sees a part, the text comes through the `fields` option, which is cut likewise.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from connector.asked import Asked
from connector.reasons import Reason, Skip

__all__ = ["Retrieval", "retrieval"]

#: What fills a hit's `fields`.
_FIELD_OPTIONS = ("fields", "docvalue_fields", "script_fields", "stored_fields")
#: Members that every hit has.
_ALWAYS = frozenset({"_id", "_index", "_score"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrieval:
    """Changes to the request, and the members to be cut from each hit of the response."""

    body: Mapping[str, bytes] = field(default_factory=dict)
    #: Parameters to replace; None: left out.
    params: Mapping[str, str | None] = field(default_factory=dict)
    cut: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Source:
    """The part of `_source` that the client asks for."""

    shown: Literal["all", "none", "part"]
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    def covers(self, name: str) -> bool:
        """Whether the whole field `name` is surely in that part."""
        included = not self.includes or any(_holds(pattern, name) for pattern in self.includes)
        return included and not any(_touches(pattern, name) for pattern in self.excludes)


def retrieval(asked: Asked, wanted: Sequence[str]) -> Retrieval | Skip:
    """What to add to the request so that the fields `wanted` come along; empty: they are not known.

    Returns Skip where the client's own options leave no way.
    """
    source = _source(asked)
    if source is None:
        return Skip(Reason.TEXT_UNAVAILABLE)
    paths = asked.params.get("filter_path")
    if paths is None:
        return _unfiltered(asked, source, wanted)
    return _filtered(asked, source, wanted, [path.strip() for path in paths.split(",") if path.strip()])


def _unfiltered(asked: Asked, source: _Source, wanted: Sequence[str]) -> Retrieval | Skip:
    if source.shown == "all" or (source.shown == "part" and wanted and all(source.covers(name) for name in wanted)):
        return Retrieval()
    if not wanted:
        return Skip(Reason.TEXT_UNAVAILABLE)
    return _hidden_source(wanted) if source.shown == "none" else _through_fields(asked, wanted)


def _hidden_source(wanted: Sequence[str]) -> Retrieval:
    names = [*wanted, *(name.rsplit(".", 1)[0] for name in wanted if "." in name)]  # title.english is in title
    return Retrieval(
        body={"_source": msgspec.json.encode(list(dict.fromkeys(names)))},
        params=dict.fromkeys(("_source", "_source_includes", "_source_excludes", "_source_include", "_source_exclude")),
        cut=("_source",),
    )


def _through_fields(asked: Asked, wanted: Sequence[str]) -> Retrieval | Skip:
    if any(option in asked.tree or option in asked.params for option in _FIELD_OPTIONS):
        return Skip(Reason.TEXT_UNAVAILABLE)
    return Retrieval(body={"fields": msgspec.json.encode(list(wanted))}, cut=("fields",))


def _filtered(asked: Asked, source: _Source, wanted: Sequence[str], paths: list[str]) -> Retrieval | Skip:
    """The same under `filter_path`: its paths are added to, and what they bring is cut."""
    if any(path.startswith("-") for path in paths):
        return Skip(Reason.FILTER_PATH)
    if {"hits", "hits.hits", "hits.*", "hits.hits.*", "*", "**"} & set(paths):
        return _unfiltered(asked, source, wanted)
    inner = [path.removeprefix("hits.hits.") for path in paths if path.startswith("hits.hits.")]
    shown = {path.split(".", 1)[0] for path in inner}
    if any("*" in name for name in shown) or any("*" in path.split(".", 2)[0] for path in paths) or not shown & _ALWAYS:
        return Skip(Reason.FILTER_PATH)
    if "_source" not in shown:
        base = _hidden_source(wanted) if wanted else Skip(Reason.TEXT_UNAVAILABLE)
    elif "_source" in inner or source.shown == "none":
        base = _unfiltered(asked, source, wanted)
    else:
        base = _through_fields(asked, wanted) if wanted and "fields" not in shown else Skip(Reason.FILTER_PATH)
    if isinstance(base, Skip) or ("fields" in base.cut and "fields" in shown):
        return base if isinstance(base, Skip) else Skip(Reason.FILTER_PATH)
    cut = (*base.cut, *(() if "_score" in shown else ("_score",)))
    added = ",".join(paths + [f"hits.hits.{name}" for name in cut])
    return Retrieval(body=base.body, params={**base.params, "filter_path": added}, cut=cut)


def _source(asked: Asked) -> _Source | None:
    """What the client sees of `_source`; None where `stored_fields: _none_` rules out every document."""
    tree, params = asked.tree, asked.params
    stored = params.get("stored_fields", tree.get("stored_fields"))
    if stored is not None and "_none_" in _patterns(stored):
        return None
    includes = _patterns(params.get("_source_includes", params.get("_source_include")))
    excludes = _patterns(params.get("_source_excludes", params.get("_source_exclude")))
    value: Any = params.get("_source", tree.get("_source") if not (includes or excludes) else None)
    if isinstance(value, str) and value in ("true", "false"):
        value = value == "true"
    if value is False:
        return _Source("none")
    if isinstance(value, Mapping):
        includes = _patterns(value.get("includes", value.get("include")))
        excludes = _patterns(value.get("excludes", value.get("exclude")))
    elif value is not None and value is not True:
        includes = _patterns(value)
    if includes or excludes:
        return _Source("part", includes, excludes)
    if value is None and stored is not None and "_source" not in _patterns(stored):
        return _Source("none")
    return _Source("all")


def _patterns(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part for part in value.split(",") if part)
    return tuple(part for part in value if isinstance(part, str)) if isinstance(value, list) else ()


def _holds(pattern: str, name: str) -> bool:
    """Whether a source pattern takes in the whole of `name`: it matches it, or an object around it."""
    parts = name.split(".")
    return any(fnmatch.fnmatchcase(".".join(parts[:length]), pattern) for length in range(1, len(parts) + 1))


def _touches(pattern: str, name: str) -> bool:
    """Whether a source pattern may take out anything of `name`."""
    return "*" in pattern or _holds(pattern, name) or pattern.startswith(f"{name}.")
