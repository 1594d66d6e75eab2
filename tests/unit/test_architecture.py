"""What the parts may import, and what their public names look like."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("connector", "workers", "mappings")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
#: Parts of the connector whose extras may bring numpy.
WITH_EXTRAS = ("connector.evaluate", "connector.embedded", "connector.cli", "connector.proxy", "connector.jobs")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


def test_the_import_directions_hold() -> None:
    result = subprocess.run([Path(sys.executable).with_name("lint-imports")], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stdout


def test_the_connector_loads_no_torch_transformers_or_numpy() -> None:
    code = f"""
import importlib, pkgutil, sys
for blocked in ("torch", "transformers", "numpy", "onnxruntime", "openvino", "tokenizers"):
    sys.modules[blocked] = None
import connector
for module in pkgutil.walk_packages(connector.__path__, "connector."):
    if not module.name.startswith({WITH_EXTRAS!r}):
        importlib.import_module(module.name)
import connector.cli.main, connector.cli.search
"""
    result = python(code)
    assert result.returncode == 0, result.stderr


def test_the_contract_imports_the_standard_library_and_redis_only() -> None:
    imported = {
        name.partition(".")[0]
        for path in sorted((ROOT / "connector/contract").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _imported(node)
    }
    assert imported - sys.stdlib_module_names == {"connector", "redis"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_names_are_listed_sorted_and_there(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    listed = next(
        (ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign) and _assigns_all(node)), []
    )
    defined = {name for node in ast.walk(tree) for name in _names(node)}
    assert listed == sorted(listed, key=_ruff_order)
    assert set(listed) <= defined


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_its_job_and_stays_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text or ast.get_docstring(ast.parse(text)), "no docstring"
    assert len(text.splitlines()) <= 300


def _assigns_all(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    return []


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def _ruff_order(name: str) -> tuple[int, str]:
    """Constants, classes, the rest: the order that ruff sorts `__all__` in."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)
