"""THE TRAINING PATH, read first: inputs → lists → loop → the best model with its record, in one rename."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import transformers
from sentence_transformers.cross_encoder import CrossEncoder

from connector.contract.errors import ConfigurationError
from workers.training import base, loop, prepare, record
from workers.training.held_out import METRIC, HeldOut
from workers.training.report import Report
from workers.training.settings import Settings
from workers.training.workspace import Prepared, Workspace

__all__ = ["Result", "train"]

#: Checkpoints kept, one being written, and the model: each with fp32 weights, all but the model with both Adam moments.
_COPIES = 3 * 3 + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The finished run."""

    output: Path
    #: nDCG@10 of the held-out queries before and after; None without held-out queries.
    before: float | None
    after: float | None
    steps: int


def train(settings: Settings, output: Path, report: Report, *, resume: bool = False, force: bool = False) -> Result:
    """Trains by `settings` and writes the model to `output`.

    With `resume` a run that was killed goes on from its last complete checkpoint, and ends with the weights it
    would have had; its settings are those it began with.

    Raises:
        ConfigurationError: settings that cannot be used, an output that is there already, too little disk.
        InputError: data that cannot be used.
        ModelError: a model, or a checkpoint, that cannot be used.
    """
    workspace = Workspace(output)
    started = record.now()
    if resume:
        settings, prepared = _resumed(workspace, settings)
        model = _load(settings)
        checkpoint = workspace.last_checkpoint()
        report.step(f"going on from {checkpoint.name}" if checkpoint else "no checkpoint yet: from the beginning")
    else:
        settings.check()
        workspace.open_new(force=force)
        model = _load(settings)
        workspace.require_space(_COPIES * 4 * sum(value.numel() for value in model.parameters()))
        prepared = prepare.prepare(settings, report)
        workspace.begin(settings, prepared)
        checkpoint = None
    return _fit(model, prepared, settings, workspace, report, checkpoint, started)


def _resumed(workspace: Workspace, given: Settings) -> tuple[Settings, Prepared]:
    settings, prepared = workspace.resume()
    if (given.pairs or given.data or given.clicks) and (changed := settings.differences(given)):
        raise ConfigurationError(
            f"--resume goes on with the settings of the run, and these differ: {', '.join(changed)}"
        )
    return settings, prepared


def _load(settings: Settings) -> CrossEncoder:
    # A bare encoder gets a random head: the same one for the same seed.
    transformers.set_seed(settings.seed)
    return base.load(
        settings.model,
        revision=settings.revision,
        max_length=settings.max_length,
        device=base.device(settings.device),
        new_head=True,
    )


def _fit(
    model: CrossEncoder,
    prepared: Prepared,
    settings: Settings,
    workspace: Workspace,
    report: Report,
    checkpoint: Path | None,
    started: str,
) -> Result:
    begun = time.monotonic()
    evaluator = HeldOut(prepared.held_out, settings.batch) if prepared.held_out else None
    origin = record.weights_digest(model)
    before = evaluator(model)[METRIC] if evaluator else None
    if before is not None:
        report.step(f"nDCG@10 of the {len(prepared.held_out)} held-out queries before training: {before:.4f}")
    outcome = loop.fit(model, prepared.lists, evaluator, settings, workspace, report, checkpoint)
    after = evaluator(model)[METRIC] if evaluator else None
    model.save_pretrained(str(workspace.model), create_model_card=False)
    workspace.finish(
        {
            "started": started,
            "finished": record.now(),
            "seconds": round(time.monotonic() - begun, 1),
            "resumed_from": checkpoint.name if checkpoint else None,
            "settings": settings.to_json(),
            "data": list(prepared.data),
            "base": {"model": settings.model or "bundled", "weights_sha256": origin},
            "lists": len(prepared.lists),
            "held_out_queries": len(prepared.held_out),
            "metrics": {METRIC: {"before": before, "after": after}, "history": outcome.history},
            "steps": {"done": outcome.steps, "planned": outcome.planned_steps, "best": outcome.best_step},
            "loss": outcome.losses,
            "device": str(model.device),
            "precision": "bf16" if model.device.type == "cuda" else "fp32",
            "versions": record.versions(),
            "weights_sha256": record.weights_digest(model),
        }
    )
    return Result(output=workspace.output, before=before, after=after, steps=outcome.steps)
