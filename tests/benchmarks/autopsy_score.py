"""The share of recorded failures that the autopsy names rightly.

Run: python -m tests.benchmarks.autopsy_score [DIR ...] [--show]
DIR holds logs with an index.json as tests/support/autopsy_records.py describes it; without one, those of the
repository are scored. --show prints what the operator would read for each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.autopsy_records import RECORDS, Verdict, judge, read_records, table


def main(arguments: Sequence[str] | None = None) -> int:
    """Score the folders and print the result; 1 when something is named wrongly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="*", default=[RECORDS])
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args(arguments)
    verdicts = [judge(record) for folder in options.folder for record in read_records(folder)]
    for verdict in verdicts if options.show else ():
        print(_shown(verdict))
    print(table(verdicts))
    return 0 if all(verdict.right for verdict in verdicts) else 1


def _shown(verdict: Verdict) -> str:
    failure = verdict.failure
    head = f"== {verdict.record.path.name} ({verdict.record.source})"
    if failure is None:
        return f"{head}\nnothing was found"
    lines = [head, f"{failure.title.english} [{failure.certainty.text.english}] {failure.code}"]
    if failure.detail is not None:
        lines.append(failure.detail.english)
    lines += [f"  | {line[:150]}" for line in failure.evidence]
    lines += [f"  . {seen.english}" for seen in failure.observed]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
