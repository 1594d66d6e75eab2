"""Loading a cross-encoder to train, to learn from, or to export: one label, full precision, no remote code."""

from __future__ import annotations

import torch
from sentence_transformers.cross_encoder import CrossEncoder

from connector.contract.errors import ConfigurationError, ModelError
from workers.models import folder as model_folder
from workers.models.folder import ModelFolder
from workers.models.torch import WEIGHTS

__all__ = ["device", "load"]


def load(
    name: str, *, revision: str | None = None, max_length: int, device: str = "cpu", new_head: bool = False
) -> CrossEncoder:
    """The model `name` (a folder, a name on a hub, or "": the bundled one) in fp32.

    With `new_head` a bare encoder gets a fresh head of one label; without it only a model that has its head will do.

    Raises:
        ModelError: nothing there, broken files, or a head of more than one label.
    """
    found = model_folder.find(name or None, revision, WEIGHTS)
    bare = not any(kind.endswith(("ForSequenceClassification", "ForCausalLM")) for kind in _architectures(found))
    if not any(found.path.glob("*.safetensors")) and not any(found.path.glob("*.bin")):
        raise ModelError(f"{found.name}: no torch weights: there is no model.safetensors in {found.path}")
    if bare and not new_head:
        raise ModelError(f"{found.name}: {', '.join(_architectures(found))} has no classification head: train it first")
    try:
        model: CrossEncoder = CrossEncoder(
            str(found.path),
            device=device,
            local_files_only=True,
            num_labels=1 if bare else None,
            max_length=max_length,
            model_kwargs={"dtype": torch.float32},
        )
    except Exception as exc:  # the libraries raise errors of a dozen kinds for broken files
        raise ModelError(f"{found.name}: cannot be loaded: {_first_line(exc)}") from exc
    if model.num_labels != 1:
        raise ModelError(f"{found.name}: has {model.num_labels} labels, and reranking needs a model with one")
    _check_length(model, found.name, max_length)
    return model


def device(wanted: str) -> str:
    """`auto` as the device it means here; raises ConfigurationError where the wanted one is not there."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigurationError(f"--device {wanted}: torch finds no CUDA device here")
    return wanted


def _architectures(found: ModelFolder) -> list[str]:
    return [str(kind) for kind in found.config.get("architectures") or ["an encoder"]]


def _check_length(model: CrossEncoder, name: str, max_length: int) -> None:
    most = getattr(model.config, "max_position_embeddings", None)
    if isinstance(most, int) and max_length > most:
        raise ConfigurationError(f"--max-length {max_length}: {name} reads at most {most} tokens")


def _first_line(exc: BaseException) -> str:
    return (str(exc).strip() or type(exc).__name__).splitlines()[0]
