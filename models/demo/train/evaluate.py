"""Ask a real engine about freshly drawn pictures and print how much was right, by type of question.

python models/demo/train/evaluate.py --pictures 500 --seed 20261 --engine /path/to/llama-server
python models/demo/train/evaluate.py --pictures 500 --seed 20261 --engine embedded

Needs numpy and the engine, not PyTorch. Answers are greedy. The same seed gives the same pictures and questions.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from demo_vision.asking import LANGUAGE_MODEL, PROJECTOR, Engine
from demo_vision.examination import Task, table, tasks
from demo_vision.picture_files import png
from demo_vision.questions import TYPES


def main() -> None:
    """Evaluate."""
    options = _options()
    results: list[tuple[Task, bool]] = []
    slowest = 0.0
    begin = time.monotonic()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        Engine(
            options.engine,
            options.model,
            options.projector,
            log=Path(folder) / "engine.log",
            more=("-t", str(options.threads)),
        ) as engine,  # fmt: skip
    ):
        for task in tasks(options.pictures, options.seed, options.types or TYPES):
            asked = time.monotonic()
            said = engine.ask(task.question.text, task.picture)
            slowest = max(slowest, time.monotonic() - asked)
            right = task.question.is_right(said)
            results.append((task, right))
            if not right and options.wrong:
                print(f"{task.number:4} {task.question.type}: {task.question.text!r}")
                print(f"       said {said!r}, right is {task.question.answer!r}")
            if options.keep and (not right or options.keep_all):
                (options.keep / f"{task.number:04}-{task.question.type}.png").write_bytes(png(task.picture))
    print(table(results))
    each = (time.monotonic() - begin) / max(1, len(results))
    print(f"\nengine {Path(options.engine).name}, seed {options.seed}: {each:.2f} s a picture, slowest {slowest:.2f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20261, help="not the one that was trained with")
    parser.add_argument(
        "--engine",
        default=os.environ.get("VARIET_LLAMA_SERVER", "embedded"),
        help='a llama-server, or "embedded" (default: VARIET_LLAMA_SERVER, else embedded)',
    )
    parser.add_argument("--model", type=Path, default=LANGUAGE_MODEL)
    parser.add_argument("--projector", type=Path, default=PROJECTOR)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 2, help="1 on a machine that is busy")
    parser.add_argument("--types", nargs="*", choices=TYPES, help="only these")
    parser.add_argument("--wrong", action="store_true", help="print every wrong answer")
    parser.add_argument("--keep", type=Path, help="folder to keep the pictures of wrong answers in")
    parser.add_argument("--keep-all", action="store_true", help="with --keep: of all answers")
    options = parser.parse_args()
    for path in (options.model, options.projector):
        if not path.is_file():
            parser.error(f"{path} is not there")
    return options


if __name__ == "__main__":
    sys.exit(main())
