"""Does fine-tuning help where the answer is known? Five folds of judged queries, the tuned model against the untuned.

`python -m tests.quality_finetune --eval DIR`: for each set, train on the judgments of four fifths of the queries, then
rerank the BM25 top 50 (bm25s) of at most 100 queries of the other fifth by both models, and test the paired differences
of nDCG@10 over all folds. Each finished fold is kept in a file: a run that was stopped goes on where it was.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

FOLDS = 5
SEED = 11


def main() -> None:
    """Runs the folds that are missing and prints the table."""
    options = _options()
    done: dict[str, Any] = json.loads(options.results.read_text()) if options.results.is_file() else {}
    for fold in range(FOLDS):
        for name in options.sets:
            key = f"{name}/{fold}"
            if key not in done and fold < options.folds:
                print(f"{key} …", flush=True)
                done[key] = _fold(options, name, fold)
                options.results.parent.mkdir(parents=True, exist_ok=True)
                options.results.write_text(json.dumps(done, indent=1) + "\n")
                print(_line(key, done[key]), flush=True)
    print("\n| set | folds | queries | BM25 | untuned | tuned | gain | 95 % interval | p |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.sets:
        print(_summary(name, [value for key, value in sorted(done.items()) if key.startswith(f"{name}/")]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--sets", nargs="+", default=["stackfaq", "nq"])
    parser.add_argument("--model", default="workers/models/bundled")
    parser.add_argument("--results", type=Path, default=Path(".bench/finetune.json"))
    parser.add_argument("--folds", type=int, default=FOLDS, help="stop after so many")
    parser.add_argument("--queries", type=int, default=100, help="test queries a fold")
    parser.add_argument("--window", type=int, default=50)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--loss", default="listwise")
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument(
        "--apart", action="store_true", help="queries that share a relevant document go into the same fold"
    )
    return parser.parse_args()


def _fold(options: argparse.Namespace, name: str, fold: int) -> dict[str, Any]:
    from workers.training import base, beir, held_out, lexical, run
    from workers.training.report import Quiet
    from workers.training.settings import Settings

    folder = options.eval / name
    collection = beir.read(folder, "test")
    groups = _folds(collection.queries, apart=options.apart)
    test = random.Random(f"{SEED} {fold}").sample(groups[fold], min(options.queries, len(groups[fold])))
    judged = {query.query for query in groups[fold]}
    train = [query for query in collection.queries if query.query not in judged]
    index = lexical.Index(collection.passages)
    items = list(held_out.queries(collection, test, index, options.window))
    with tempfile.TemporaryDirectory(prefix="rerank-bridge-fold-") as temporary:
        source = _write(Path(temporary) / name, folder, replace(collection, queries=tuple(train)))
        settings = Settings(
            data=(str(source),), model=options.model, steps=options.steps, loss=options.loss, seed=SEED,
            learning_rate=options.learning_rate, max_length=options.max_length, holdout=0.0, device="auto",
        )  # fmt: skip
        run.train(settings, Path(temporary) / "tuned", Quiet())
        values = {}
        for label, path in (("untuned", options.model), ("tuned", str(Path(temporary) / "tuned"))):
            model = base.load(path, max_length=options.max_length, device=base.device("auto"))
            values[label] = held_out.HeldOut(items, 32).per_query(model)
    first_stage = [[-float(rank) for rank in range(len(item.ids))] for item in items]
    return {
        "bm25": held_out.ndcg(items, first_stage),
        **values,
        "trained_on": len(train),
        "steps": options.steps,
        "loss": options.loss,
        "apart": options.apart,
    }


def _folds(queries: Sequence[Any], *, apart: bool) -> list[list[Any]]:
    """The queries in five parts, by seed; with `apart` none of them shares a relevant document with another part."""
    parts: dict[str, list[Any]] = {}
    owner: dict[str, str] = {}
    for query in queries:
        relevant = [name for name, grade in query.grades.items() if grade > 0] if apart else []
        keys = {owner[name] for name in relevant if name in owner}
        key = min(keys, default=query.query)
        merged = [query, *(item for other in sorted(keys) for item in parts.pop(other))]
        parts.setdefault(key, []).extend(merged)
        for item in merged if apart else []:
            owner.update(dict.fromkeys((name for name, grade in item.grades.items() if grade > 0), key))
    order = sorted(parts)
    random.Random(SEED).shuffle(order)
    folds: list[list[Any]] = [[] for _ in range(FOLDS)]
    for key in order:
        min(folds, key=len).extend(parts[key])
    return folds


def _write(target: Path, source: Path, collection: Any) -> Path:
    """A BEIR folder with the corpus of `source` and the judgments of the collection's queries as its split `train`."""
    (target / "qrels").mkdir(parents=True)
    (target / "corpus.jsonl").symlink_to((source / "corpus.jsonl").absolute())
    with (target / "queries.jsonl").open("w") as queries, (target / "qrels" / "train.tsv").open("w") as qrels:
        for number, query in enumerate(collection.queries):
            queries.write(json.dumps({"_id": str(number), "text": query.query}) + "\n")
            qrels.writelines(f"{number}\t{name}\t{int(grade)}\n" for name, grade in query.grades.items())
    return target


def _line(key: str, fold: dict[str, Any]) -> str:
    means = "  ".join(f"{label} {fmean(fold[label]):.4f}" for label in ("bm25", "untuned", "tuned"))
    return f"{key}: {len(fold['tuned'])} queries  {means}"


def _summary(name: str, folds: list[dict[str, Any]]) -> str:
    import numpy as np
    from scipy import stats

    if not folds:
        return f"| {name} | 0 |"
    joined = {label: np.array([v for fold in folds for v in fold[label]]) for label in ("bm25", "untuned", "tuned")}
    gain = joined["tuned"] - joined["untuned"]
    test = stats.ttest_rel(joined["tuned"], joined["untuned"])
    low, high = test.confidence_interval(0.95)
    means = " | ".join(f"{values.mean():.4f}" for values in joined.values())
    return (
        f"| {name} | {len(folds)} | {len(gain)} | {means} | {gain.mean():+.4f} | {low:+.4f} to {high:+.4f} "
        f"| {test.pvalue:.1e} |"
    )


if __name__ == "__main__":
    main()
