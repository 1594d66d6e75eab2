"""The demo's corpus: the docstrings of this machine's own Python standard library, read with `ast` (no code is run)."""

from __future__ import annotations

import ast
import inspect
import os
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Document", "documents"]

#: Folders of the standard library that document nothing for its users.
_LEFT_OUT = {"dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test", "tests"}
#: Shorter docstrings say nothing that the name does not.
_SHORTEST = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One docstring."""

    #: Qualified name, as `shutil.copytree`: id and title.
    name: str
    #: "module", "class" or "function".
    kind: str
    text: str


def documents(library: Path | None = None) -> Iterator[Document]:
    """The docstrings of public modules, classes and functions, each name once.

    Args:
        library: folder to read in place of this Python's own library.
    """
    root = library or Path(sysconfig.get_path("stdlib"))
    seen: set[str] = set()
    for path in _files(root):
        module = _module_name(path.relative_to(root))
        for document in _of_module(module, path):
            if document.name not in seen:
                seen.add(document.name)
                yield document


def _files(root: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if name not in _LEFT_OUT and not name.startswith(("_", "config-")))
        # `_pydecimal.py` and its like implement the module without `_py`.
        public = (name for name in sorted(names) if not name.startswith("_") or name.startswith(("__init__", "_py")))
        yield from (Path(folder, name) for name in public if name.endswith(".py"))


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    named = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(part.removeprefix("_py") for part in named)


def _of_module(name: str, path: Path) -> Iterator[Document]:
    try:
        with warnings.catch_warnings():
            # An odd escape in a library's docstring is not the user's to hear about.
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # a template or a file kept broken on purpose
    yield from _of_node(tree, name, "module")


def _of_node(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str, kind: str
) -> Iterator[Document]:
    text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
    if len(text) >= _SHORTEST:
        yield Document(name=name, kind=kind, text=text)
    if kind == "function":
        return
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            child_kind = "class" if isinstance(child, ast.ClassDef) else "function"
            yield from _of_node(child, f"{name}.{child.name}", child_kind)
