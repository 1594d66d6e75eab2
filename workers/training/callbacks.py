"""What happens around the training steps: the bar, checkpoints by the clock, their seals."""
# ruff: noqa: ARG002  the callbacks are called with every argument by name

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from connector.contract.errors import ModelError
from workers.training.report import Report

__all__ = ["Checkpoints", "Progress"]


class Checkpoints(TrainerCallback):
    """Saves when `minutes` have passed since the last save, and seals each checkpoint once it is written."""

    def __init__(self, minutes: float, folder: Path, seal: Callable[[Path], None]) -> None:
        self._seconds = minutes * 60
        self._folder = folder
        self._seal = seal
        self._last = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Asks for a save when it is time."""
        if time.monotonic() - self._last >= self._seconds:
            control.should_save = True
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Seals what has just been written."""
        self._last = time.monotonic()
        self._seal(self._folder / f"checkpoint-{state.global_step}")


class Progress(TrainerCallback):
    """Tells every step, and every judgment on held-out queries; ends a run whose loss is no number."""

    def __init__(self, report: Report, metric: str) -> None:
        self._report = report
        self._metric = f"eval_{metric}"
        self._loss = ""
        self._quality = ""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keeps the newest loss; raises ModelError where it is not finite."""
        if logs is None or "loss" not in logs:
            return
        loss = float(logs["loss"])
        if loss != loss or loss in (float("inf"), float("-inf")):
            raise ModelError(f"the loss is {loss} at step {state.global_step}: lower --learning-rate")
        self._loss = f"loss {loss:.4f}"

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Moves the bar."""
        self._report.progress(state.global_step, state.max_steps, " ".join(filter(None, (self._loss, self._quality))))

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Shows the newest nDCG@10."""
        if metrics and self._metric in metrics:
            self._quality = f"nDCG@10 {metrics[self._metric]:.4f}"
