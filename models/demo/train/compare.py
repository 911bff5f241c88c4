"""Check that PyTorch and llama.cpp compute the same: the picture's rows, and the answers (greedy decoding).

python models/demo/train/compare.py --pictures 200 --engine /path/to/llama-server

The rows are read where the engine writes them when MTMD_DEBUG_EMBEDDINGS names a file. It must not remember earlier
pictures: one that it has seen before is not read again, and the file would hold another's rows.
"""

from __future__ import annotations

import argparse
import os
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from demo_vision.asking import LANGUAGE_MODEL, PROJECTOR, Engine
from demo_vision.drawing import Pixels
from demo_vision.examination import tasks
from demo_vision.gguf_file import GgufFile
from demo_vision.language_model import LanguageModel, causal_mask
from demo_vision.preparing import prepared
from demo_vision.tokenizer import BEFORE_ANSWER, Tokenizer, before_user
from demo_vision.vision_model import VisionModel, normalised, read_gguf
from torch import Tensor


class Reader:
    """Both models in PyTorch, in float32."""

    def __init__(self, model: Path, projector: Path) -> None:
        file = GgufFile(model)
        self._tokenizer = Tokenizer(file.metadata)
        self._language = LanguageModel(file)
        self._vision: VisionModel = read_gguf(projector)

    def rows(self, picture: Pixels) -> Tensor:
        """Return what the picture becomes, (tokens, width)."""
        seen = prepared(picture, self._vision.sizes.image).copy()
        found: Tensor = self._vision(normalised(torch.from_numpy(seen)[None]))[0]
        return found

    def answer(self, question: str, rows: Tensor, most: int = 48) -> str:
        """Return the likeliest answer, token by token."""
        language, tokenizer = self._language, self._tokenizer
        before = language.embed(torch.tensor(tokenizer.encode(before_user())))
        after = language.embed(torch.tensor(tokenizer.encode(question) + tokenizer.encode(BEFORE_ANSWER)))
        inputs = torch.cat([before, rows, after])
        said: list[int] = []
        while len(said) < most:
            length = len(inputs)
            states = language.hidden(inputs[None], torch.arange(length)[None], causal_mask(length))
            token = int(language.logits(states[0, -1]).argmax())
            if token == tokenizer.end:
                break
            said.append(token)
            inputs = torch.cat([inputs, language.embed(torch.tensor([token]))])
        return tokenizer.decode(said).strip()


def read_rows(path: Path) -> np.ndarray:
    """Return the rows that the engine wrote: two int32 for the shape, then float32."""
    data = path.read_bytes()
    tokens, width = struct.unpack_from("<ii", data)
    return np.frombuffer(data, np.float32, tokens * width, 8).reshape(tokens, width)


def main() -> int:
    """Compare."""
    options = _options()
    torch.set_num_threads(options.threads)
    reader = Reader(options.model, options.projector)
    errors: list[float] = []
    same = 0
    with torch.no_grad(), tempfile.TemporaryDirectory() as name:
        dump = Path(name) / "rows"
        with Engine(
            options.engine, options.model, options.projector, log=Path(name) / "log",
            more=("-t", str(options.threads), "--cache-ram", "0"), environment={"MTMD_DEBUG_EMBEDDINGS": str(dump)},
        ) as engine:  # fmt: skip
            for task in tasks(options.pictures, options.seed):
                theirs = engine.ask(task.question.text, task.picture)
                rows = reader.rows(task.picture)
                there = read_rows(dump)
                errors.append(float(np.linalg.norm(rows.numpy() - there) / np.linalg.norm(there)))
                ours = reader.answer(task.question.text, rows)
                same += ours == theirs
                if ours != theirs:
                    print(f"{task.number:4} {task.question.text!r}: PyTorch {ours!r}, engine {theirs!r}")
    agreement = same / options.pictures
    print(f"rows: relative difference, median {np.median(errors):.1e}, largest {max(errors):.1e}")
    print(f"answers: {same} of {options.pictures} are the same ({agreement:.1%})")
    return 0 if agreement >= options.least else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20262)
    parser.add_argument("--engine", default=os.environ.get("VARIET_LLAMA_SERVER", "llama-server"))
    parser.add_argument("--model", type=Path, default=LANGUAGE_MODEL)
    parser.add_argument("--projector", type=Path, default=PROJECTOR)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 2, help="1 on a machine that is busy")
    parser.add_argument("--least", type=float, default=0.95, help="part of the answers that must agree")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
