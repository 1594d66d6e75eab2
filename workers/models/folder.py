"""A model's files: from a folder, or from the hub by name and revision. Nothing from them is ever executed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connector.contract.errors import ModelError

__all__ = ["BUNDLED", "ModelFolder", "find"]

#: The cross-encoder that comes with the package.
BUNDLED = Path(__file__).parent / "bundled"
#: Weights are named apart, because each backend needs its own.
_COMMON = ("*.json", "*/config.json", "tokenizer.json", "*.model", "vocab.txt")
#: Labels that mean "relevant" where a model with two classes names them.
_RELEVANT = {"relevant", "positive", "true", "yes", "1"}


class ModelFolder:
    """The files of one model on this machine.

    Raises:
        ModelError: there is no readable config.json.
    """

    def __init__(self, path: Path, name: str, revision: str | None = None) -> None:
        self.path = path
        #: As the user named it, with the revision if there is one.
        self.name = name if revision is None else f"{name}@{revision}"
        self.config = self.json("config.json")

    def json(self, name: str) -> dict[str, Any]:
        """One of the folder's JSON files.

        Raises:
            ModelError: it is missing or is no JSON object.
        """
        try:
            content = json.loads((self.path / name).read_bytes())
        except FileNotFoundError as exc:
            raise ModelError(f"{self.name}: {name} is missing, so this is no model folder") from exc
        except (OSError, ValueError) as exc:
            raise ModelError(f"{self.name}: {name} cannot be read: {exc}") from exc
        if not isinstance(content, dict):
            raise ModelError(f"{self.name}: {name} is no JSON object")
        return content

    def optional_json(self, name: str) -> dict[str, Any]:
        """`json`, or an empty object where the file is missing."""
        return self.json(name) if (self.path / name).is_file() else {}

    def first(self, names: Sequence[str]) -> Path | None:
        """The first of these files that exists."""
        return next((self.path / name for name in names if (self.path / name).is_file()), None)

    def labels(self) -> int:
        """Outputs of the classification head: 1 or 2.

        Raises:
            ModelError: the model has no such head, or more outputs.
        """
        architectures = self.config.get("architectures") or []
        if not any(str(name).endswith("ForSequenceClassification") for name in architectures):
            raise ModelError(
                f"{self.name} is no cross-encoder: it is {', '.join(architectures) or 'of no named architecture'}"
                " and has no sequence-classification head"
            )
        labels = len(self.config.get("id2label") or {}) or int(self.config.get("num_labels") or 2)
        if labels > 2:
            raise ModelError(
                f"{self.name} has {labels} labels: a cross-encoder has one score,"
                " or two classes of which one is relevant"
            )
        return labels

    def relevant_label(self) -> int:
        """Which of two classes means "relevant": the one named so, else the second, as is the custom."""
        named: dict[str, Any] = self.config.get("id2label") or {}
        first = str(named.get("0", "")).lower()
        second = str(named.get("1", "")).lower()
        return 0 if first in _RELEVANT and second not in _RELEVANT else 1


def find(model: str | None, revision: str | None = None, weights: Sequence[str] = ()) -> ModelFolder:
    """The folder of `model`: a path, a name on the hub (`weights` are the patterns to fetch), or None: the bundled one.

    Raises:
        ModelError: there is no such model, or the hub cannot be reached.
    """
    if model is None:
        return ModelFolder(BUNDLED, "bundled")
    path = Path(model).expanduser()
    if path.is_dir():
        return ModelFolder(path, model)
    if path.exists() or model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise ModelError(f"{model}: there is no such folder")
    return ModelFolder(_fetch(model, revision, weights), model, revision)


def _fetch(model: str, revision: str | None, weights: Sequence[str]) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    where = model if revision is None else f"{model}, revision {revision}"
    try:
        return Path(huggingface_hub.snapshot_download(model, revision=revision, allow_patterns=[*_COMMON, *weights]))
    except HFValidationError as exc:
        raise ModelError(f"{model} is neither a folder nor a model's name on the hub") from exc
    except LocalEntryNotFoundError as exc:
        raise ModelError(f"{where} is not on this machine, and the hub cannot be reached: name a folder") from exc
    except HfHubHTTPError as exc:
        raise ModelError(f"{where} is not on the hub, or needs an account that may read it") from exc
    except OSError as exc:
        raise ModelError(f"{where} cannot be fetched: {exc}") from exc
