"""Measures every row and counts what can be counted. Fails only where a count is wrong: times belong to a machine."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.benchmarks import counts, event_loop, limits, process, recorder, scan, shell
from tests.benchmarks.measure import Result, Row, measure

RESULTS = Path(__file__).parents[2] / ".bench/results.json"
SECTIONS: Sequence[Callable[..., Iterator[Row]]] = [
    shell.rows,
    process.rows,
    limits.rows,
    recorder.rows,
    event_loop.rows,
    scan.rows,
]
_LINE = "{:<60} {:>9} {:>9} {:>7} {:>7} {:>7}  {}"


def main() -> int:
    quick = os.environ.get("QUICK", "") not in {"", "0"}
    if sys.argv[1:] == ["postgres"]:
        from tests.benchmarks import postgres

        return postgres.main(quick=quick)
    counted = [one() for one in counts.COUNTS]
    print("counted")
    for count in counted:
        print(f"  {'ok   ' if count.right else 'WRONG'}  {count.name}: {count.found}")
    print()
    print(_LINE.format("measured", "ours ms", "floor ms", "ratio", "least", "at most", ""))
    results = []
    with tempfile.TemporaryDirectory(prefix="keyctl-bench-") as folder:
        for section in SECTIONS:
            for row in section(Path(folder), quick=quick):
                results.append(measure(row))
                _print(results[-1])
    beyond = sum(not result.holds for result in results)
    print("\nratio: of the medians of runs in turn. least: of the quickest runs, which other load disturbs least.")
    print("by memory: MB instead of ms.")
    if beyond:
        print(f"{beyond} of {len(results)} beyond what they may take")
    _write(results, counted, quick=quick)
    return not all(count.right for count in counted)


def _print(result: Result) -> None:
    facts = result.to_dict()
    mark = "ok" if result.holds else "BEYOND"
    print(
        _LINE.format(
            result.name,
            f"{facts['ours_ms']:.5g}",
            f"{facts['floor_ms']:.5g}",
            f"{result.ratio:.2f}",
            f"{result.ratio_of_least:.2f}",
            f"{result.at_most:.2f}",
            f"{mark} (by {result.by}, ±{result.spread:.0%}, {len(result.ours)} runs)",
        ),
        flush=True,
    )


def _write(results: Sequence[Result], counted: Sequence[counts.Count], *, quick: bool) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    document = {
        "quick": quick,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "rows": [result.to_dict() for result in results],
        "counts": [count._asdict() for count in counted],
    }
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
