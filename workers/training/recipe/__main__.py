"""`python -m workers.training.recipe`: makes the bundled model, start to end, resumed where it stopped."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer

from workers.training.recipe import bundle, devset, lists, loop, overlap, pool, scoring, teacher
from workers.training.recipe.settings import RecipeSettings

_log = logging.getLogger("workers.training.recipe")

#: Pairs that set the scales of the int8 file, and the development queries of each set that the files are compared on.
_CALIBRATION = 512
_DEVELOPMENT = 10


def main() -> None:
    """Reads the command line and runs the recipe."""
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("workers").setLevel(logging.INFO)
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    settings = _settings()
    torch.set_num_threads(settings.threads)
    settings.run_folder.mkdir(parents=True, exist_ok=True)
    made = _pool(settings)
    model = loop.train(made, _lists(made, settings), settings, settings.run_folder / "checkpoint.pt")
    folder = settings.run_folder / "bundled"
    shipped = bundle.build(model, _calibration(made, settings), folder, max_length=settings.max_length)
    figures = _compare(shipped, folder, settings)
    bundle.install(folder, settings.output)
    _record(settings, figures)


def _settings() -> RecipeSettings:
    parser = argparse.ArgumentParser(prog="python -m workers.training.recipe", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/pairs.jsonl.gz and eval/")
    parser.add_argument("--work", type=Path, default=RecipeSettings.work, help="cache and checkpoints")
    parser.add_argument("--output", type=Path, default=RecipeSettings.output, help="folder of the finished model")
    parser.add_argument("--threads", type=int, default=RecipeSettings.threads)
    parser.add_argument("--epochs", type=float, default=RecipeSettings.epochs, help="passes over the lists")
    return RecipeSettings(**vars(parser.parse_args()))


def _pool(settings: RecipeSettings) -> pool.Pool:
    pairs = pool.read_pairs(settings.data / "train" / "pairs.jsonl.gz")
    found = overlap.overlaps(pairs, overlap.read_evaluated(settings.data / "eval"))
    _log.info(
        "%d pairs, %d share a run of eight words with an evaluation document, %d left out",
        found.pairs,
        found.sharing_any,
        len(found.excluded),
    )
    return pool.build(
        pairs,
        excluded=frozenset(found.excluded),
        passages=settings.passages,
        queries=settings.lists,
        seed=settings.seed,
    )


def _lists(made: pool.Pool, settings: RecipeSettings) -> lists.Lists:
    path = settings.run_folder / "lists.npz"
    if not path.exists():
        queries = teacher.encode(made.queries, settings.run_folder / "queries", max_length=settings.max_query_length)
        passages = teacher.encode(made.passages, settings.run_folder / "passages", max_length=settings.max_length)
        lists.save(lists.build(made, queries, passages, settings), path)
    return lists.load(path)


def _calibration(made: pool.Pool, settings: RecipeSettings) -> list[tuple[str, str]]:
    """Seeded pairs of the training lists: labelled passages and others by turns."""
    rows = lists.load(settings.run_folder / "lists.npz").rows
    chosen = np.random.default_rng(settings.seed).choice(len(rows), size=_CALIBRATION, replace=False)
    return [(made.queries[row], made.passages[rows[row, row % rows.shape[1]]]) for row in chosen]


def _compare(shipped: torch.nn.Module, folder: Path, settings: RecipeSettings) -> dict[str, float]:
    """Mean nDCG@10 of BM25, of the model in fp32 and of the int8 file, over development queries."""
    windows = devset.windows(settings.data / "eval", queries=_DEVELOPMENT, depth=50, seed=settings.seed)
    pairs = [(window.query, passage) for window in windows for passage in window.passages]
    ends = np.cumsum([len(window.passages) for window in windows])[:-1]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    runs = {
        "fp32": scoring.torch_run(shipped),
        "int8": scoring.onnx_run(folder / "onnx" / "model_int8.onnx", threads=settings.threads),
    }
    figures = {"bm25": devset.mean_ndcg(windows, [window.bm25 for window in windows])}
    for name, run in runs.items():
        scores = scoring.score(run, tokenizer, pairs, max_length=settings.max_length)
        figures[name] = devset.mean_ndcg(windows, np.split(scores, ends))
    _log.info("mean nDCG@10 of %d development queries: %s", len(windows), figures)
    return figures


def _record(settings: RecipeSettings, figures: dict[str, float]) -> None:
    values = {
        name: str(value) if isinstance(value, Path) else value for name, value in dataclasses.asdict(settings).items()
    }
    text = json.dumps({"settings": values, "ndcg@10": figures}, indent=2)
    (settings.run_folder / "record.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
