"""The `rerank-bridge.toml` that `init` writes: an entry for each index with text, from the engine's mappings. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from connector import schema

__all__ = ["starter"]

_HEAD = """\
# What rerank-bridge does with the searches of which index. Written by `rerank-bridge init` from the engine's mappings;
# read by `rerank-bridge serve --config {name}`, and again on SIGHUP.
#
# The first [[index]] whose pattern takes a name counts; what none takes passes through unreranked. Names match as they
# stand in the request: a search of an alias needs a pattern for the alias.

# What every index starts from. These are the defaults of `serve`.
[defaults]
# mode = "on"               # "off"; "shadow": score and log, change nothing
# share = 1.0               # of the searches, by their words: 0.1 is a tenth of them
# model = "default"         # the alias that workers announce
# window = 50               # hits that are reranked
# deadline = 0.3            # seconds after the engine answered; then its own order goes out
# on_timeout = "engine"     # "partial": use the scores that came
# scores = "engine"         # what _score shows: the engine's by place, or "rerank"
# min_hits = 2
# min_query_terms = 1
# pins = 0                  # hits at the top that stay
# fusion.method = "minmax"  # blend with the engine's order; or "rrf", "zscore"; "none": the cross-encoder alone
"""

_ENTRY = """
[[index]]
pattern = {pattern}
# The fields that the model reads, in this order. Without them those that a search names are taken.
text.fields = {fields}
"""

_EMPTY = '\n# No index with a text field was found. An entry looks like this:\n# [[index]]\n# pattern = "docs-*"\n'


def starter(mappings: Mapping[str, Any], *, name: str = "rerank-bridge.toml") -> str:
    """The file's text for a `GET /_mapping` answer. Hidden indices are left out."""
    entries = [
        _ENTRY.format(
            pattern=json.dumps(index, ensure_ascii=False), fields=json.dumps(list(fields), ensure_ascii=False)
        )
        for index in sorted(mappings)
        if not index.startswith(".") and (fields := schema.read(json.dumps({index: mappings[index]}).encode()).text)
    ]
    return _HEAD.format(name=name) + ("".join(entries) or _EMPTY)
