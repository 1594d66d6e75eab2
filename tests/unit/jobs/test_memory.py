"""However large the input, what is held of it is a chunk."""

import json
import tracemalloc
from pathlib import Path

from connector.jobs import chunks, inputs, runs
from connector.jobs.chunks import Place

LINES = 8_000
#: Bytes of Python objects: some chunks' worth, where the files have 2 MB.
MOST = 600_000


def peak(path: Path, form: str) -> tuple[int, int]:
    """Items read, and the most bytes held at once."""
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            if form == "run":
                entries = runs.read(file, line=0, offset=0, window=None)
            else:
                entries = inputs.read(form, file, line=0, offset=0, index=None, window=None)
            count = sum(len(chunk.items) for chunk in chunks.cut(entries, tokens=8192, start=Place()))
        return count, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_json_lines_are_streamed(tmp_path: Path) -> None:
    line = json.dumps({"query": "a question", "documents": ["some text " * 20]})
    (path := tmp_path / "x.jsonl").write_text(f"{line}\n" * LINES)
    count, held = peak(path, "documents")
    assert count == LINES
    assert path.stat().st_size > 3 * MOST
    assert held < MOST


def test_runs_are_streamed(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    rows = (f"query-{n // 20} Q0 the-document-of-number-{n} {n % 20} {-n}.0 tag\n" for n in range(6 * LINES))
    path.write_text("".join(rows))
    count, held = peak(path, "run")
    assert count == 6 * LINES // 20
    assert path.stat().st_size > 3 * MOST
    assert held < MOST
