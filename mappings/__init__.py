"""Index templates for both engines, as JSON files; `load` adjusts one to an engine's version and a vector's length."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

__all__ = ["DIMENSIONS", "PATTERNS", "VECTOR_FIELD", "load"]

#: Vector length of the small sentence encoders (MiniLM-L6, bge-small, e5-small).
DIMENSIONS = 384
PATTERNS = ("docs-*",)
#: The field of the templates that holds a document's vector.
VECTOR_FIELD = "vector"


def load(
    engine: str, version: tuple[int, ...], *, dimensions: int = DIMENSIONS, patterns: Sequence[str] = PATTERNS
) -> dict[str, Any]:
    """The composable index template (`PUT _index_template/…`) for `engine`, "elasticsearch" or "opensearch".

    Args:
        version: the server's own, as (9, 5, 3): what an old one does not know is left out or replaced.
        dimensions: numbers in a vector.
        patterns: index names that the template is for.
    """
    file = resources.files(__package__) / engine / "index-template.json"
    template: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    template["index_patterns"] = list(patterns)
    vector = template["template"]["mappings"]["properties"][VECTOR_FIELD]
    vector["dims" if engine == "elasticsearch" else "dimension"] = dimensions
    if engine == "elasticsearch" and version < (8,):
        # 7.x stores vectors for exact search by script and builds no graph.
        for option in ("index", "similarity", "index_options"):
            del vector[option]
    if engine == "opensearch" and version < (2, 2):
        # The Lucene engine came with 2.2.
        vector["method"]["engine"] = "nmslib"
    return template
