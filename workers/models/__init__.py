"""Models that a worker can run: `load(settings)` finds, loads and warms one.

Backends are imported when they are used: the light install has no torch.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from connector.contract.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from workers.models.cross_encoder import CrossEncoder
    from workers.models.embed import BiEncoder
    from workers.models.folder import ModelFolder
    from workers.models.runtime import Runtime
    from workers.settings import WorkerSettings

__all__ = ["load"]


def load(settings: WorkerSettings) -> CrossEncoder | BiEncoder:
    """The model that `settings` name, ready to run.

    Raises:
        ModelError: there is no such model, or it is not of the kind asked for.
        MissingExtra: its backend is not installed.
        ConfigurationError: device or precision cannot be had.
    """
    if importlib.util.find_spec("tokenizers") is None:
        raise MissingExtra("a worker", "cpu")
    return _bi_encoder(settings) if settings.kind == "embed" else _cross_encoder(settings)


def _cross_encoder(settings: WorkerSettings) -> CrossEncoder:
    from workers.models import cross_encoder, folder, onnx_files, pairs

    # What is fetched from the hub depends on the backend, which depends on the files only if it is left open.
    found = folder.find(settings.model, settings.revision, onnx_files.patterns(settings))
    found.labels()
    length = cross_encoder.readable_length(found, settings.max_length)
    tokenizer = pairs.PairTokenizer(found, max_length=length, cache_bytes=settings.token_cache)
    model = cross_encoder.CrossEncoder(found, tokenizer, _runtime(found, settings, tokenizer.pad_id))
    model.warm()
    return model


def _runtime(found: ModelFolder, settings: WorkerSettings, pad_id: int) -> Runtime:
    if _backend(found, settings) == "onnx":
        if importlib.util.find_spec("openvino") is None:
            raise MissingExtra("the onnx backend", "cpu")
        from workers.models.openvino import OpenVinoRuntime

        if settings.device not in ("auto", "cpu"):
            raise ConfigurationError(f"--device {settings.device} needs --backend torch")
        return OpenVinoRuntime(found, precision=settings.precision, threads=settings.threads, pad_id=pad_id)
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        raise MissingExtra("the torch backend", "worker")
    from workers.models.torch import TorchRuntime

    return TorchRuntime(
        found, device=settings.device, precision=settings.precision, threads=settings.threads, pad_id=pad_id
    )


def _backend(found: ModelFolder, settings: WorkerSettings) -> str:
    """Left open: torch on a GPU; on a CPU ONNX, where it is installed and the folder has a graph that fits."""
    from workers.models import onnx_files

    if settings.backend != "auto":
        return settings.backend
    torch_installed = importlib.util.find_spec("torch") is not None
    if settings.device.startswith("cuda") or settings.precision in ("bf16", "fp16"):
        return "torch"
    if settings.device == "auto" and torch_installed:
        import torch

        if torch.cuda.is_available() and settings.precision != "int8":
            return "torch"
    has_graph = onnx_files.graph(found, settings.precision) is not None
    if has_graph and importlib.util.find_spec("openvino") is not None:
        return "onnx"
    return "torch" if torch_installed else "onnx"


def _bi_encoder(settings: WorkerSettings) -> BiEncoder:
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        raise MissingExtra("embedding queries (kNN and hybrid search)", "worker")
    from workers.models import embed, folder
    from workers.models.torch import WEIGHTS

    found = folder.find(settings.model, settings.revision, WEIGHTS)
    model = embed.BiEncoder(
        found,
        device=settings.device,
        precision=settings.precision,
        threads=settings.threads,
        max_length=settings.max_length,
    )
    model.warm()
    return model
