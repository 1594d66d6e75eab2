"""Where a run keeps its files: everything beside the output until the model is complete, then one rename.

`OUTPUT.training/` holds `state.json` (the settings), `lists.jsonl` and `held_out.jsonl` (what is trained and judged on,
mined once), `checkpoints/` and, at the end, `model/`, which becomes OUTPUT. So a run that fails or is killed touches no
model.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from connector.contract.errors import ConfigurationError, ModelError
from workers.training.collection import TrainingList
from workers.training.held_out import HeldOutQuery
from workers.training.settings import Settings

__all__ = ["RECORD", "Prepared", "Workspace"]

#: Beside the model: how it was made. Its presence says that a folder is a model of ours.
RECORD = "run.json"
_SEAL = "complete.json"
_STATE = "state.json"
#: Version of the layout, so that a run begun by another version of the program is not gone on with.
_LAYOUT = 1


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a run trains and judges on, and where it comes from."""

    lists: tuple[TrainingList, ...]
    held_out: tuple[HeldOutQuery, ...]
    #: One entry for each input: name, digests, counts, notes.
    data: tuple[dict[str, object], ...]


class Workspace:
    """The files of one run."""

    def __init__(self, output: Path) -> None:
        self.output = output.absolute()
        self.folder = self.output.with_name(f"{self.output.name}.training")
        self.checkpoints = self.folder / "checkpoints"
        self.model = self.folder / "model"

    def open_new(self, *, force: bool) -> None:
        """Checks, before anything is read, that a new run may write here.

        Raises:
            ConfigurationError: something is there already, and `force` does not allow to replace it.
        """
        # Without its state, which is written last, a folder is what a kill left of the preparations.
        if (self.folder / _STATE).exists() and not force:
            raise ConfigurationError(
                f"{self.folder}: an unfinished run is there: go on with it by --resume, or begin anew by --force"
            )
        if not self.output.exists():
            return
        if not self.output.is_dir() or (any(self.output.iterdir()) and not (self.output / RECORD).is_file()):
            raise ConfigurationError(f"{self.output}: exists and is no model made by train: choose another --output")
        if any(self.output.iterdir()) and not force:
            raise ConfigurationError(f"{self.output}: a model is there already: choose another --output, or --force")

    def begin(self, settings: Settings, prepared: Prepared) -> None:
        """Writes what a resumed run needs, in place of an earlier unfinished run."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.checkpoints.mkdir(parents=True)
        _write_lines(self.folder / "lists.jsonl", (asdict(entry) for entry in prepared.lists))
        _write_lines(self.folder / "held_out.jsonl", (asdict(item) for item in prepared.held_out))
        state = {"layout": _LAYOUT, "settings": settings.to_json(), "data": prepared.data}
        _write_json(self.folder / _STATE, state)

    def resume(self) -> tuple[Settings, Prepared]:
        """What `begin` wrote.

        Raises:
            ConfigurationError: there is nothing to go on with.
        """
        state = self.folder / _STATE
        if not state.is_file():
            done = f"; {self.output} is finished" if (self.output / RECORD).is_file() else ""
            raise ConfigurationError(f"{self.folder}: no unfinished run to resume{done}")
        try:
            content = json.loads(state.read_text(encoding="utf-8"))
            if content["layout"] != _LAYOUT:
                raise ConfigurationError(f"{state}: written by another version of rerank-bridge: begin anew by --force")
            lists = tuple(_training_list(values) for values in _read_lines(self.folder / "lists.jsonl"))
            held_out = tuple(_held_out(values) for values in _read_lines(self.folder / "held_out.jsonl"))
            settings = Settings.from_json(content["settings"])
            return settings, Prepared(lists=lists, held_out=held_out, data=tuple(content["data"]))
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise ModelError(f"{self.folder}: the unfinished run is damaged ({exc}): begin anew by --force") from exc

    def seal(self, checkpoint: Path) -> None:
        """Marks a checkpoint as completely written, with the digest of each of its files."""
        files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
        _write_json(checkpoint / _SEAL, {str(path.relative_to(checkpoint)): _digest(path) for path in files})

    def last_checkpoint(self) -> Path | None:
        """The newest complete checkpoint; what a kill left half-written is removed.

        Raises:
            ModelError: a file of it is not as it was written.
        """
        found = sorted(self.checkpoints.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        while found and not (found[-1] / _SEAL).is_file():
            shutil.rmtree(found.pop())
        for checkpoint in found:
            _check_seal(checkpoint)
        return found[-1] if found else None

    def finish(self, record: dict[str, object]) -> None:
        """Puts the complete model, with its record, in the output's place and removes the run's own files."""
        _write_json(self.model / RECORD, record)
        if self.output.exists():
            old = self.folder / "replaced"
            self.output.replace(old)
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.model.replace(self.output)
        shutil.rmtree(self.folder)

    def require_space(self, needed: int) -> None:
        """Raises ConfigurationError where fewer than `needed` bytes are free."""
        folder = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise ConfigurationError(
                f"{folder}: too little disk: {free / 1e6:,.0f} MB are free, and checkpoints and model need "
                f"{needed / 1e6:,.0f} MB"
            )


def _check_seal(checkpoint: Path) -> None:
    advice = f"remove {checkpoint} to resume from the checkpoint before it, or begin anew by --force"
    try:
        digests = json.loads((checkpoint / _SEAL).read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ModelError(f"{checkpoint / _SEAL}: a corrupt checkpoint ({exc}): {advice}") from exc
    for name, value in digests.items():
        path = checkpoint / name
        if not path.is_file() or _digest(path) != value:
            raise ModelError(f"{path}: a corrupt checkpoint: the file is not as it was written: {advice}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, value: object) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _write_lines(path: Path, values: Iterable[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def _read_lines(path: Path) -> Iterable[dict[str, object]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _training_list(values: dict[str, object]) -> TrainingList:
    return TrainingList(**{name: _tupled(value) for name, value in values.items()})  # type: ignore[arg-type]


def _held_out(values: dict[str, object]) -> HeldOutQuery:
    return HeldOutQuery(**{name: _tupled(value) for name, value in values.items()})  # type: ignore[arg-type]


def _tupled(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
