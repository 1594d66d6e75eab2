"""The one training loop: candidate lists in, a student out, with checkpoints that a later run resumes."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, BertForSequenceClassification

from connector.contract.errors import InputError
from workers.training.recipe import loss, student, teacher
from workers.training.recipe.lists import Lists
from workers.training.recipe.pool import Pool
from workers.training.recipe.settings import RecipeSettings

__all__ = ["OtherRun", "train"]

_log = logging.getLogger(__name__)
_LOG_STEPS = 25


class OtherRun(InputError):
    """A checkpoint belongs to a run with other settings."""


class _Batches:
    """Turns a step's lists into micro-batches of pairs of similar length."""

    def __init__(self, pool: Pool, lists: Lists, settings: RecipeSettings) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(teacher.weights_folder())
        self._queries = student.token_ids(pool.queries, self._tokenizer, settings.max_query_length)
        self._passages = student.token_ids(pool.passages, self._tokenizer, settings.max_length)
        self._rows, self._settings = lists.rows, settings
        self._tokens = loss.token_targets(lists)

    def of(self, chosen: np.ndarray) -> list[tuple[np.ndarray, dict[str, torch.Tensor], torch.Tensor]]:
        """(places in the flattened lists, inputs, targets of their tokens) for the lists numbered `chosen`."""
        pairs = [(number, column) for number in chosen for column in range(self._rows.shape[1])]
        joined = [self._join(number, column) for number, column in pairs]
        order = np.argsort([len(row) for row in joined], kind="stable")
        size = self._settings.pairs_per_pass
        return [self._micro_batch(order[first : first + size], pairs, joined) for first in range(0, len(order), size)]

    def _join(self, number: int, column: int) -> np.ndarray:
        query, passage = self._queries[number], self._passages[self._rows[number, column]]
        return student.join(query, passage, self._tokenizer, self._settings.max_length)

    def _micro_batch(
        self, places: np.ndarray, pairs: list[tuple[int, int]], joined: list[np.ndarray]
    ) -> tuple[np.ndarray, dict[str, torch.Tensor], torch.Tensor]:
        lengths = [len(self._queries[pairs[place][0]]) for place in places]
        inputs = student.collate([joined[place] for place in places], lengths)
        wanted = torch.full(inputs["input_ids"].shape, torch.nan)
        for row, (place, length) in enumerate(zip(places, lengths, strict=True)):
            number, column = pairs[place]
            wanted[row, 1 : 1 + length] = torch.from_numpy(self._tokens[number, column, :length])
        return places, inputs, wanted


def train(
    pool: Pool,
    lists: Lists,
    settings: RecipeSettings,
    checkpoint: Path,
    *,
    after_step: Callable[[int], None] = lambda _: None,
) -> BertForSequenceClassification:
    """The student trained for `settings.epochs` passes over the lists, seeded.

    A run that was stopped continues from `checkpoint`, which is written every `checkpoint_seconds`.

    Args:
        after_step: called with the number of steps done, after each one.

    Raises:
        OtherRun: the checkpoint is of a run with other settings.
    """
    torch.manual_seed(settings.seed)
    model = student.Student(settings.layers).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    first, total = _resume(model, optimizer, settings, checkpoint), settings.steps(len(lists.rows))
    batches, wanted = _Batches(pool, lists, settings), torch.from_numpy(loss.targets(lists, settings))
    threads = _Threads(model, batches, settings)
    progress = _Progress(first, total, settings.lists_per_step * lists.rows.shape[1])
    saved = time.monotonic()
    for step in range(first, total):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _rate(step / total, settings)
        chosen = _chosen(step, len(lists.rows), settings)
        progress.add(threads.backward(chosen, wanted[chosen]))
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if time.monotonic() - saved > settings.checkpoint_seconds or step + 1 == total:
            _save(model, optimizer, step + 1, settings, checkpoint)
            saved = time.monotonic()
        after_step(step + 1)
    model.eval()
    finished: BertForSequenceClassification = model.model
    return finished


class _Progress:
    """Logs the mean losses and the pace of every few steps."""

    def __init__(self, first: int, total: int, pairs: int) -> None:
        self._done, self._total, self._pairs = first, total, pairs
        self._losses: list[tuple[float, float]] = []
        self._since = time.monotonic()

    def add(self, losses: tuple[float, float]) -> None:
        """One step is done."""
        self._done += 1
        self._losses.append(losses)
        if self._done % _LOG_STEPS:
            return
        pace = len(self._losses) * self._pairs / (time.monotonic() - self._since)
        lists, tokens = np.mean(self._losses, axis=0)
        _log.info(
            "step %d of %d: loss of lists %.4f, of tokens %.4f, %.0f pairs/s",
            self._done,
            self._total,
            lists,
            tokens,
            pace,
        )
        self._losses, self._since = [], time.monotonic()


class _Threads:
    """Shares the lists of a step among threads, each with a graph of its own.

    Threads meet once a step, where the threads inside an operator would meet in each of them and wait for the slowest
    all the time on a machine that does other work too.
    """

    def __init__(self, model: student.Student, batches: _Batches, settings: RecipeSettings) -> None:
        self._model, self._batches, self._settings = model, batches, settings
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        torch.set_num_threads(1)
        self._pool = futures.ThreadPoolExecutor(settings.threads)

    def backward(self, chosen: np.ndarray, wanted: torch.Tensor) -> tuple[float, float]:
        """Sets the gradients of the lists numbered `chosen`; gives back the mean losses of lists and of tokens."""
        parts = np.array_split(np.arange(len(chosen)), self._settings.threads)
        done = list(self._pool.map(lambda part: self._part(chosen[part], wanted[part]), parts))
        shares = [len(part) / len(chosen) for part in parts]
        for place, parameter in enumerate(self._trained):
            parameter.grad = sum(
                (gradients[place] * share for (gradients, _), share in zip(done, shares, strict=True)),
                start=torch.zeros_like(parameter),
            )
        lists, tokens = np.average([losses for _, losses in done], axis=0, weights=shares)
        return float(lists), float(tokens)

    def _part(self, chosen: np.ndarray, wanted: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], tuple[float, float]]:
        scores, token_losses = torch.zeros(wanted.numel()), []
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for places, inputs, tokens in self._batches.of(chosen):
                logits, matches = self._model(inputs)
                scores = scores.index_put((torch.from_numpy(places),), logits.float())
                known = ~tokens.isnan()
                token_losses.append(torch.nn.functional.mse_loss(matches.float()[known], tokens[known]))
        of_lists = loss.list_loss(scores.view(wanted.shape), wanted, self._settings)
        of_tokens = torch.stack(token_losses).mean()
        gradients = torch.autograd.grad(of_lists + self._settings.token_weight * of_tokens, self._trained)
        return gradients, (of_lists.item(), of_tokens.item())


def _rate(done: float, settings: RecipeSettings) -> float:
    """Linear warm-up, a plateau, linear decay to zero."""
    return min(done / settings.warmup, 1.0, (1.0 - done) / settings.decay)


def _chosen(step: int, count: int, settings: RecipeSettings) -> np.ndarray:
    """The lists of a step: every pass has an order of its own, drawn from the seed."""
    places = range(step * settings.lists_per_step, (step + 1) * settings.lists_per_step)
    return np.array([_order(place // count, count, settings.seed)[place % count] for place in places])


@functools.lru_cache(maxsize=2)
def _order(epoch: int, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)


def _resume(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, settings: RecipeSettings, checkpoint: Path
) -> int:
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    if state["settings"] != settings.fixed():
        raise OtherRun(f"{checkpoint}: this checkpoint is of a run with other settings: delete it to start anew")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    _log.info("resumed at step %d from %s", state["step"], checkpoint)
    return int(state["step"])


def _save(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    settings: RecipeSettings,
    checkpoint: Path,
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "settings": settings.fixed(),
    }
    partial = checkpoint.with_suffix(".partial")
    torch.save(state, partial)
    partial.rename(checkpoint)
