"""Does fine-tuning help where the answer is known? Five folds of judged queries, the tuned model against the untuned.

`python -m tests.quality_finetune --eval DIR`: for each set, train on the judgments of four fifths of the queries, then
rerank the BM25 top 50 (bm25s) of at most 100 queries of the other fifth by both models, and test the paired differences
of nDCG@10 over all folds. Each finished fold is kept in a file: a run that was stopped goes on where it was.
"""

import argparse
import hashlib
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
#: The table stands between these two lines.
BEGIN = "<!-- finetune: begin -->"
END = "<!-- finetune: end -->"


def main() -> None:
    """Runs the folds that are missing, prints the table and puts it into the page that shows it."""
    options = _options()
    results = _results(options)
    done: dict[str, Any] = results["folds"]
    for fold in range(FOLDS):
        for name in options.sets:
            key = f"{name}/{fold}"
            if key not in done and fold < options.folds:
                print(f"{key} …", flush=True)
                done[key] = _fold(options, name, fold)
                options.results.parent.mkdir(parents=True, exist_ok=True)
                options.results.write_text(json.dumps(results, indent=1) + "\n")
                print(_line(key, done[key]), flush=True)
    table = _table(options, done)
    print(table)
    if options.write is not None:
        before, _, rest = options.write.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        options.write.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def _results(options: argparse.Namespace) -> dict[str, Any]:
    """What an earlier run with the same model and settings has finished."""
    names = ("queries", "window", "steps", "loss", "learning_rate", "max_length", "apart")
    with (Path(options.model) / "model.safetensors").open("rb") as weights:
        model = hashlib.file_digest(weights, "sha256").hexdigest()
    settings = {"model_sha256": model, **{name: getattr(options, name) for name in names}}
    if not options.results.is_file():
        return {"settings": settings, "folds": {}}
    found: dict[str, Any] = json.loads(options.results.read_text())
    if found["settings"] != settings:
        raise SystemExit(f"{options.results} is of another model or other settings: remove it, or name other --results")
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--sets", nargs="+", default=["stackfaq", "nq"])
    parser.add_argument("--model", default="workers/models/bundled")
    parser.add_argument("--results", type=Path, default=Path(".bench/finetune.json"))
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    parser.add_argument("--folds", type=int, default=FOLDS, help="stop after so many")
    parser.add_argument("--queries", type=int, default=100, help="test queries a fold")
    parser.add_argument("--window", type=int, default=50)
    parser.add_argument("--steps", type=int, default=80)
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


def _table(options: argparse.Namespace, done: dict[str, Any]) -> str:
    lines = [
        "| set | folds | queries | BM25 | untuned | tuned | gain | 95 % interval | p |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in options.sets:
        lines.append(_summary(name, [value for key, value in sorted(done.items()) if key.startswith(f"{name}/")]))
    return "\n".join(lines)


def _summary(name: str, folds: list[dict[str, Any]]) -> str:
    import numpy as np
    from scipy import stats

    if not folds:
        return f"| {name} | 0 of {FOLDS} | *not run* | | | | | | |"
    joined = {label: np.array([v for fold in folds for v in fold[label]]) for label in ("bm25", "untuned", "tuned")}
    gain = joined["tuned"] - joined["untuned"]
    test = stats.ttest_rel(joined["tuned"], joined["untuned"])
    low, high = test.confidence_interval(0.95)
    means = " | ".join(f"{values.mean():.3f}" for values in joined.values())
    return (
        f"| {name} | {len(folds)} of {FOLDS} | {len(gain)} | {means} | {gain.mean():+.3f} | {low:+.3f} to {high:+.3f} "
        f"| {test.pvalue:.1g} |"
    )


if __name__ == "__main__":
    main()
