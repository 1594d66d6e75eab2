"""`python -m tests.bench [--only PART]… [--json FILE]`: runs the parts and prints one table.

A part is a module of this package with `run(report: Report) -> None`, which adds its rows to the report.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from pathlib import Path

from tests.bench.report import Report

#: In the order of the table.
PARTS = ("scoring", "cache", "merge", "proxy", "jobs", "faults")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description="Benchmarks of rerank-bridge.")
    parser.add_argument("--only", action="append", choices=PARTS, help="run this part only; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to FILE")
    options = parser.parse_args()
    report = Report()
    for part in options.only or PARTS:
        name = f"tests.bench.{part}"
        if importlib.util.find_spec(name) is None:
            report.say(f"{part}: this part is not here")
            continue
        importlib.import_module(name).run(report)
        if options.json:
            report.write(options.json)


if __name__ == "__main__":
    main()
