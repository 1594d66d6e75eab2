"""Pure: where exports put their ONNX graphs, and which files of a hub model a worker needs."""

from __future__ import annotations

from pathlib import Path

from workers.models.folder import ModelFolder
from workers.settings import WorkerSettings

__all__ = ["graph", "patterns"]

#: By precision; the first that exists is taken.
_GRAPHS = {
    "int8": ("onnx/model_int8.onnx", "onnx/model_qint8_avx512_vnni.onnx", "onnx/model_quantized.onnx"),
    "fp32": ("onnx/model.onnx", "model.onnx"),
}
_TORCH = ("*.safetensors", "*.safetensors.index.json")


def graph(folder: ModelFolder, precision: str) -> tuple[Path, str] | None:
    """The graph for a precision ("auto": int8 if there is one, else fp32) and the precision it has."""
    for candidate in ("int8", "fp32") if precision == "auto" else (precision,):
        path = folder.first(_GRAPHS.get(candidate, ()))
        if path is not None:
            return path, candidate
    return None


def patterns(settings: WorkerSettings) -> tuple[str, ...]:
    """File patterns of the weights to fetch from the hub."""
    precisions = ("int8", "fp32") if settings.precision == "auto" else (settings.precision,)
    named = [name for precision in precisions for name in _GRAPHS.get(precision, ())]
    graphs = tuple(name + suffix for name in named for suffix in ("", "_data", ".data"))
    if settings.backend == "onnx":
        return graphs
    return _TORCH if settings.backend == "torch" else (*_TORCH, *graphs)
