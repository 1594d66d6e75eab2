"""The table of docs/quality.md: every evaluation set through `rerank-bridge evaluate`, on one engine.

`python -m tests.quality --eval DIR` starts the engine and the workers, evaluates each BEIR folder of DIR, one figures
file a step under `.quality/`, and writes the table between the two marks in docs/quality.md. A step whose file is there
is not run again, so a run that was stopped goes on where it was; remove the files to measure anew.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean
from typing import Any

from connector.embedded import cache
from connector.embedded.report import Quiet
from connector.embedded.stack import start_stack
from connector.embedded.worker import start_worker
from connector.evaluate import beir, lookup, runs
from connector.settings import TextTemplate

COMMAND = str(Path(sys.executable).with_name("rerank-bridge"))
BUNDLED = "workers/models/bundled"
PAGE = Path("docs/quality.md")
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
MAIN = "ndcg@10"
#: name → arguments of `evaluate`; {sample} and {seed} are those of the comparisons that take long.
STEPS: Mapping[str, Sequence[str]] = {
    "bm25": ("--no-rerank",),
    "int8": (),
    "knn": ("--first-stage", "knn", "--no-rerank"),
    "hybrid": ("--first-stage", "hybrid", "--no-rerank"),
    "int8-sample": ("--sample", "{sample}", "--seed", "0"),
    "fp32-sample": ("--sample", "{sample}", "--seed", "0", "--model", BUNDLED, "--backend", "torch"),
    "cosine-sample": ("--sample", "{sample}", "--seed", "0", "--no-rerank", "--run-in", "{cosine}"),
}

Figures = dict[str, Any]
#: Heading → the figure of a set; None where it was not run.
Columns = dict[str, Callable[[str], float | None]]


def main() -> None:
    """Runs the steps that are missing and writes the table."""
    options = _options()
    options.keep.mkdir(parents=True, exist_ok=True)
    sets = [path.parent for path in sorted(options.eval.glob("*/corpus.jsonl"))]
    wanted = [path for path in sets if not options.sets or path.name in options.sets]
    missing = [(path, step) for path in wanted for step in options.steps if not _file(options, path, step).is_file()]
    if missing and not options.table_only:
        _measure(options, missing)
    _write([path.name for path in sets], options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--sets", nargs="+", help="only these")
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=STEPS)
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--queries", type=int, help="only so many of a set, for a quick round")
    parser.add_argument("--sample", type=int, default=100, help="queries of the comparisons with fp32 and cosine")
    parser.add_argument("--keep", type=Path, default=Path(".quality"), help="figures and runs")
    parser.add_argument("--table-only", action="store_true", help="write the table of what is there")
    return parser.parse_args()


def _measure(options: argparse.Namespace, missing: Sequence[tuple[Path, str]]) -> None:
    steps = {step for _, step in missing}
    with ExitStack() as running:
        home = cache.cache_folder() / "quality"
        stack = running.enter_context(
            start_stack(data=home, backend="onnx", worker=bool(steps & {"int8", "int8-sample"}))
        )
        if steps & {"knn", "hybrid"}:
            running.enter_context(start_worker(stack.environment, kind="embed", alias="embed", report=Quiet()))
        for folder, step in missing:
            print(f"{folder.name} {step} …", flush=True)
            if step == "cosine-sample":
                _cosine(options, folder, lambda *more, at=folder: _evaluate(options, at, more, stack.environment))
            names = {"sample": options.sample, "cosine": _cosine_run(options, folder)}
            arguments = [argument.format(**names) for argument in STEPS[step]]
            if step == "fp32-sample":
                arguments += ["--home", str(home / "fp32")]
            partial = _file(options, folder, step).with_suffix(".partial")
            _evaluate(options, folder, [*arguments, "--json", str(partial)], stack.environment)
            partial.rename(_file(options, folder, step))


def _evaluate(
    options: argparse.Namespace, folder: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> None:
    command = [COMMAND, "evaluate", "--data", str(folder), "--window", str(options.window), *arguments]
    if options.queries and "--sample" not in arguments:
        command += ["--sample", str(options.queries)]
    if "--run-in" not in arguments:
        command += ["--engine-url", environment["RERANK_BRIDGE_ENGINE_URL"]]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_inherited() | dict(environment))


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RERANK_BRIDGE_")} | {
        name: os.environ[name] for name in ("RERANK_BRIDGE_CACHE_DIR",) if name in os.environ
    }


def _cosine(options: argparse.Namespace, folder: Path, evaluate: Callable[..., None]) -> None:
    """Orders BM25's candidates by the cosine of the bi-encoder that the bundled model was started from."""
    from sentence_transformers import SentenceTransformer

    from workers.training.recipe.teacher import weights_folder

    found = options.keep / f"{folder.name}.bm25.trec"
    evaluate("--no-rerank", "--sample", str(options.sample), "--seed", "0", "--run-out", str(found))
    run = runs.read(found)
    ids = sorted({document for documents in run.values() for document in documents})
    texts = lookup.from_corpus(folder / "corpus.jsonl", ids, TextTemplate())
    queries = beir.read_queries(folder / "queries.jsonl")
    model = SentenceTransformer(str(weights_folder()), device="cpu")
    vectors = dict(zip(ids, model.encode([texts[name] or "" for name in ids], normalize_embeddings=True), strict=True))
    asked = dict(zip(run, model.encode([queries[name] for name in run], normalize_embeddings=True), strict=True))
    ranked = {
        query: sorted(documents, key=lambda name, query=query: -float(asked[query] @ vectors[name]))
        for query, documents in run.items()
    }
    runs.write(_cosine_run(options, folder), ranked, "cosine")


def _cosine_run(options: argparse.Namespace, folder: Path) -> Path:
    return Path(options.keep / f"{folder.name}.cosine.trec")


def _file(options: argparse.Namespace, folder: Path, step: str) -> Path:
    return Path(options.keep / f"{folder.name}.{step}.json")


def _write(sets: Sequence[str], options: argparse.Namespace) -> None:
    found = {
        (name, step): json.loads(path.read_text())
        for name in sets
        for step in STEPS
        if (path := options.keep / f"{name}.{step}.json").is_file()
    }
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    tail = rest.split(END)[1]
    tables = "\n\n".join((_first_table(sets, found), _second_table(sets, found)))
    PAGE.write_text(f"{head}{BEGIN}\n{tables}\n{END}{tail}", encoding="utf-8")
    print(tables)


def _first_table(sets: Sequence[str], found: Mapping[tuple[str, str], Figures]) -> str:
    columns: Columns = {
        "BM25": lambda name: _mean(found, name, "bm25", "first_stage"),
        "kNN": lambda name: _mean(found, name, "knn", "first_stage"),
        "hybrid": lambda name: _mean(found, name, "hybrid", "first_stage"),
        "cross-encoder": lambda name: _mean(found, name, "int8", "reranked"),
        "default policy": lambda name: _mean(found, name, "int8", "default"),
    }
    head = ["set", "queries", *columns, "gain over BM25 (95 % interval)", "best setting tried", "p50 ms"]
    rows = [
        [name, _queries(found, name), *_figures(columns, name), *_details(found.get((name, "int8")))] for name in sets
    ]
    means = [_overall([column(name) for name in sets]) for column in columns.values()]
    gain = _difference(means[4], means[0])
    return _table(head, [*rows, ["**mean**", "", *map(_figure, means), gain, "", ""]])


def _details(figures: Figures | None) -> list[str]:
    if figures is None:
        return ["not run"] * 3
    compared = figures["significance"]["default"][MAIN]
    best = figures["sweep"]["best"]
    fusion = best["fusion"]
    method = "plain" if fusion["method"] == "none" else f"{fusion['method']} {fusion['weight']:g}"
    return [
        f"{compared['difference']:+.3f} ({compared['low']:+.3f} to {compared['high']:+.3f})",
        f"window {best['window']}, {method}: {best[MAIN]:.3f} (held out {best['held_out']:.3f})",
        f"{figures['latency_ms']['p50']:.0f}",
    ]


def _second_table(sets: Sequence[str], found: Mapping[tuple[str, str], Figures]) -> str:
    columns: Columns = {
        "BM25": lambda name: _mean(found, name, "int8-sample", "first_stage"),
        "int8": lambda name: _mean(found, name, "int8-sample", "reranked"),
        "fp32": lambda name: _mean(found, name, "fp32-sample", "reranked"),
        "default policy, int8": lambda name: _mean(found, name, "int8-sample", "default"),
        "default policy, fp32": lambda name: _mean(found, name, "fp32-sample", "default"),
        "bi-encoder (cosine)": lambda name: _mean(found, name, "cosine-sample", "first_stage"),
    }
    rows = []
    for name in sets:
        figures = found.get((name, "int8-sample"))
        rows.append([name, str(figures["queries"]) if figures else "not run", *_figures(columns, name)])
    means = [_overall([column(name) for name in sets]) for column in columns.values()]
    return _table(["set", "queries", *columns], [*rows, ["**mean**", "", *map(_figure, means)]])


def _mean(found: Mapping[tuple[str, str], Figures], name: str, step: str, run: str) -> float | None:
    figures = found.get((name, step))
    return None if figures is None else figures["runs"].get(run, {}).get(MAIN)


def _queries(found: Mapping[tuple[str, str], Figures], name: str) -> str:
    figures = next((found[key] for key in found if key[0] == name and "sample" not in key[1]), None)
    return "not run" if figures is None else f"{figures['queries']:,}"


def _overall(values: Sequence[float | None]) -> float | None:
    """The mean over the sets; None while one of them is missing."""
    return None if None in values else fmean(value for value in values if value is not None)


def _difference(after: float | None, before: float | None) -> str:
    return "" if after is None or before is None else f"{after - before:+.3f}"


def _figures(columns: Columns, name: str) -> list[str]:
    return [_figure(column(name)) for column in columns.values()]


def _figure(value: float | None) -> str:
    return "not run" if value is None else f"{value:.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


if __name__ == "__main__":
    main()
