"""One line about a command, read from its module's source so that listing commands imports none of them."""

import ast
import importlib.util
import re
from pathlib import Path

__all__ = ["summary"]


def summary(module: str) -> str:
    """The first line of `module`'s docstring without its leading "`command`:"; "" when there is none."""
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:
        return ""
    if spec is None or spec.origin is None:
        return ""
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    line = re.sub(r"^`[^`]*`:\s*", "", docstring.partition("\n")[0])
    return line[:1].upper() + line[1:]
