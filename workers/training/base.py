"""Loading a cross-encoder to train, to learn from, or to export: one label, full precision, no remote code."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from sentence_transformers.cross_encoder import CrossEncoder

from connector.contract.errors import ConfigurationError, ModelError

__all__ = ["device", "load"]


def load(
    name: str, *, revision: str | None = None, max_length: int, device: str = "cpu", new_head: bool = False
) -> CrossEncoder:
    """The model `name` (a folder, or a name on a hub) in fp32.

    With `new_head` a bare encoder gets a fresh head of one label; without it only a model that has its head will do.

    Raises:
        ModelError: nothing there, broken files, or a head of more than one label.
    """
    folder = Path(name)
    if folder.exists():
        _check_folder(folder, new_head=new_head)
    try:
        model = CrossEncoder(
            name,
            revision=revision,
            device=device,
            local_files_only=folder.exists(),
            num_labels=1 if new_head and _bare(folder) else None,
            max_length=max_length,
            model_kwargs={"dtype": torch.float32},
        )
    except Exception as exc:  # the libraries raise errors of a dozen kinds for broken files and missing names
        raise ModelError(f"{name}: cannot be loaded: {_first_line(exc)}") from exc
    if model.num_labels != 1:
        raise ModelError(f"{name}: has {model.num_labels} labels, and reranking needs a model with one")
    _check_length(model, name, max_length)
    return model


def device(wanted: str) -> str:
    """`auto` as the device it means here; raises ConfigurationError where the wanted one is not there."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigurationError(f"--device {wanted}: torch finds no CUDA device here")
    return wanted


def _check_folder(folder: Path, *, new_head: bool) -> None:
    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(f"{folder}: no model: there is no config.json in it")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise ModelError(f"{file}: no JSON: {exc}") from exc
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise ModelError(f"{folder}: no weights: there is no model.safetensors in it")
    if not new_head and _bare(folder):
        kind = (config.get("architectures") or ["an encoder"])[0]
        raise ModelError(f"{folder}: {kind} has no classification head: train it first")


def _bare(folder: Path) -> bool:
    """Whether a folder holds an encoder without a classification head."""
    file = folder / "config.json"
    if not file.is_file():
        return False
    names = json.loads(file.read_text(encoding="utf-8")).get("architectures") or []
    return not any(name.endswith(("ForSequenceClassification", "ForCausalLM")) for name in names)


def _check_length(model: CrossEncoder, name: str, max_length: int) -> None:
    most = getattr(model.config, "max_position_embeddings", None)
    if isinstance(most, int) and max_length > most:
        raise ConfigurationError(f"--max-length {max_length}: {name} reads at most {most} tokens")


def _first_line(exc: BaseException) -> str:
    return (str(exc).strip() or type(exc).__name__).splitlines()[0]
