"""The training loop: sentence-transformers' CrossEncoderTrainer with our losses, checkpoints and early stopping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import torch
from sentence_transformers.cross_encoder import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
from transformers import EarlyStoppingCallback, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from connector.contract.errors import ConfigurationError
from workers.training import callbacks, examples, losses
from workers.training.collection import TrainingList
from workers.training.held_out import METRIC, HeldOut
from workers.training.report import Report
from workers.training.settings import Settings
from workers.training.workspace import Workspace

__all__ = ["Outcome", "fit"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the loop went; the model itself was trained in place and holds its best weights."""

    steps: int
    planned_steps: int
    #: (step, nDCG@10 of the held-out queries), in order.
    history: tuple[tuple[int, float], ...]
    #: (step, mean loss since the entry before), in order.
    losses: tuple[tuple[int, float], ...]
    best_step: int | None


def fit(
    model: CrossEncoder,
    lists: Sequence[TrainingList],
    evaluator: HeldOut | None,
    settings: Settings,
    workspace: Workspace,
    report: Report,
    checkpoint: Path | None = None,
) -> Outcome:
    """Trains `model`, from `checkpoint` on where one is given, and leaves the best weights in it."""
    rows = examples.rows(lists, settings.loss)
    per_row = sum(map(examples.pairs_in, rows)) / len(rows)
    batch = max(1, round(settings.batch / per_row))
    steps = settings.steps or max(1, math.ceil(settings.epochs * math.ceil(len(rows) / batch)))
    trainer = CrossEncoderTrainer(
        model=model,
        args=_arguments(settings, workspace, model, batch, steps, judged=evaluator is not None),
        train_dataset=datasets.Dataset.from_list(rows),
        loss=losses.build(settings.loss, model, min(settings.batch, 16 if model.device.type == "cpu" else 256)),
        evaluator=evaluator,
        callbacks=_callbacks(settings, workspace, report, judged=evaluator is not None),
    )
    trainer.remove_callback(PrinterCallback)
    report.step(f"training on {len(rows)} rows of {per_row:.1f} pairs, {batch} rows a step, {steps} steps")
    _run(trainer, checkpoint, settings, workspace)
    log = trainer.state.log_history
    return Outcome(
        steps=trainer.state.global_step,
        planned_steps=steps,
        history=tuple((int(entry["step"]), entry[f"eval_{METRIC}"]) for entry in log if f"eval_{METRIC}" in entry),
        losses=tuple((int(entry["step"]), entry["loss"]) for entry in log if "loss" in entry),
        best_step=trainer.state.best_global_step or None,
    )


def _run(trainer: CrossEncoderTrainer, checkpoint: Path | None, settings: Settings, workspace: Workspace) -> None:
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError as exc:
        raise ConfigurationError(
            f"the GPU's memory does not hold a step of {settings.batch} pairs: lower --batch or --max-length"
        ) from exc
    except Exception as exc:
        # Torch and safetensors tell a full disk by text, each in an exception of its own.
        if "No space left on device" not in str(exc):
            raise
        raise ConfigurationError(f"{workspace.folder}: the disk is full: make room, then go on by --resume") from exc


def _arguments(
    settings: Settings, workspace: Workspace, model: CrossEncoder, batch: int, steps: int, *, judged: bool
) -> CrossEncoderTrainingArguments:
    on_cuda = model.device.type == "cuda"
    every = max(1, math.ceil(steps / settings.evaluations))
    return CrossEncoderTrainingArguments(
        output_dir=str(workspace.checkpoints),
        per_device_train_batch_size=batch,
        max_steps=steps,
        learning_rate=settings.learning_rate,
        warmup_steps=round(settings.warmup * steps),
        weight_decay=0.01,
        seed=settings.seed,
        data_seed=settings.seed,
        bf16=on_cuda and torch.cuda.is_bf16_supported(),
        use_cpu=not on_cuda,
        eval_strategy="steps" if judged else "no",
        eval_steps=every,
        # With an evaluation comes a checkpoint, since the best one must be there at the end.
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=judged,
        metric_for_best_model=METRIC if judged else None,
        greater_is_better=True if judged else None,
        restore_callback_states_from_checkpoint=judged,
        logging_strategy="steps",
        logging_steps=max(1, min(10, steps // 10)),
        # A loss that is no number must be seen, not smoothed over.
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        dataloader_pin_memory=on_cuda,
    )


def _callbacks(settings: Settings, workspace: Workspace, report: Report, *, judged: bool) -> list[TrainerCallback]:
    found: list[TrainerCallback] = [
        callbacks.Checkpoints(settings.checkpoint_minutes, workspace.checkpoints, workspace.seal),
        callbacks.Progress(report, METRIC),
    ]
    if judged:
        found.append(EarlyStoppingCallback(early_stopping_patience=settings.patience))
    return found
