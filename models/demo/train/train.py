"""Train the vision tower and projector, with the language model frozen, on pictures that are drawn meanwhile.

python models/demo/train/train.py --model SmolLM2-135M-Instruct.Q4_1.gguf --out run/ --seconds 560 --compile
torchrun --nproc-per-node 2 models/demo/train/train.py ...      the same on two GPUs

Writes `checkpoint.pt` (half precision, for export.py) into --out, now and then and at the end. --begin-with goes on
from such a checkpoint, or from a projector file, with a new schedule; --state keeps the optimiser too, so that a later
call with the same --total goes on as if there had been no pause.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import torch
import torch.distributed as others
from demo_vision.gguf_file import GgufFile
from demo_vision.language_model import LanguageModel
from demo_vision.lessons import MARKS
from demo_vision.pool import FIELDS, Batch, Pool
from demo_vision.vision_model import VisionModel, VisionSizes, load, normalised, read_gguf, save
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Losses:
    """What one step found."""

    words: Tensor
    marks: Tensor
    right: Tensor
    """Part of the answers' tokens that are the likeliest."""


class Learner(nn.Module):
    """The tower with its helper head in front of the frozen language model."""

    def __init__(self, vision: VisionModel, language: LanguageModel) -> None:
        super().__init__()
        self.vision = vision
        self.language = language
        self.head = nn.Linear(vision.mm_norm.numel(), len(MARKS))
        nn.init.constant_(self.head.bias, -5.0)  # almost every cell holds nothing

    def forward(
        self, pictures: Tensor, lessons: Tensor, marks: Tensor, graded: Tensor, targets: Tensor, mask: Tensor
    ) -> Losses:
        """Grade one batch: `graded` are the places (in the flattened rows) whose next token is an answer's."""
        field = {name: lessons[:, index] for index, name in enumerate(FIELDS)}
        merged = self.vision.merged(normalised(pictures))
        rows = self.vision.project(merged)
        found = self.head(functional.layer_norm(merged, merged.shape[-1:]))
        wanted = marks.to(found.dtype)
        each = functional.binary_cross_entropy_with_logits(found, wanted, reduction="none").float()
        mark_loss = (each * (1 + 4 * wanted)).sum() / wanted.sum().clamp(min=1)

        words = self.language.embed(field["tokens"])
        at = field["rows"].clamp(min=0)[..., None].expand(-1, -1, rows.shape[-1])
        inputs = torch.where((field["rows"] >= 0)[..., None], rows.gather(1, at).to(words.dtype), words)
        states = self.language.hidden(inputs, field["positions"], mask)
        scores = self.language.logits(states.flatten(0, 1)[graded]).float()
        valid = targets >= 0
        loss = functional.cross_entropy(scores, targets, ignore_index=-1)
        right = ((scores.argmax(-1) == targets) & valid).sum() / valid.sum()
        return Losses(loss, mark_loss, right.detach())


def reading_mask(segments: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what may be read by whom, (batch, 1, length, length): 0 or a number that no score outweighs."""
    length = segments.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    mine, theirs = segments[:, :, None], segments[:, None, :]
    allowed = earlier & ((theirs == 0) | (mine == theirs))
    return torch.zeros(allowed.shape, dtype=dtype, device=segments.device).masked_fill_(~allowed, -1e4)[:, None]


def optimisers(learner: Learner, rate: float, decay: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the tower's matrices and AdamW for everything else that learns."""
    matrices = [p for p in learner.vision.blocks.parameters() if p.ndim == 2]
    matrices += [learner.vision.mm_up.weight]
    taken = {id(p) for p in matrices}
    rest = [p for p in learner.parameters() if p.requires_grad and id(p) not in taken]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=decay),
    ]


def batches(pool: Pool, size: int, seed: int, device: torch.device) -> Iterator[tuple[Tensor, ...]]:
    """Yield batches on the device; the next ones are gathered meanwhile."""
    ready: queue.Queue[tuple[Tensor, ...]] = queue.Queue(maxsize=3)
    random = np.random.default_rng(seed)
    places = size * 40

    def gather() -> None:
        while True:
            ready.put(_tensors(pool.batch(size, random), places, device.type == "cuda"))

    threading.Thread(target=gather, name="gather", daemon=True).start()
    while True:
        yield tuple(part.to(device, non_blocking=True) for part in ready.get())


def _tensors(batch: Batch, places: int, pin: bool) -> tuple[Tensor, ...]:
    targets = batch.lessons[:, FIELDS.index("targets")].reshape(-1)
    where = np.flatnonzero(targets >= 0)[:places]
    # Always as many places, so that shapes never change: unused ones point at the first and are not graded.
    graded = np.zeros(places, np.int64)
    wanted = np.full(places, -1, np.int64)
    graded[: len(where)], wanted[: len(where)] = where, targets[where]
    parts = [torch.from_numpy(p) for p in (batch.pictures, batch.lessons, batch.marks, graded, wanted)]
    return tuple(part.pin_memory() for part in parts) if pin else tuple(parts)


def main() -> None:
    """Train."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    rank = int(os.environ.get("RANK", "0"))
    options.seed += 1000 * rank
    sizes = VisionSizes(layers=options.layers, width=options.width, heads=options.width // 64)
    pool = Pool(
        options.model, slots=options.slots, workers=options.workers, image=sizes.image, side=sizes.side // sizes.merge,
        seed=options.seed,
    )  # fmt: skip
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    try:
        if together:
            others.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        _train(options, sizes, pool, first=rank == 0, together=together)
    finally:
        pool.close()
        if together:
            others.destroy_process_group()


def _train(options: argparse.Namespace, sizes: VisionSizes, pool: Pool, *, first: bool, together: bool) -> None:
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")
    wide = torch.bfloat16 if device.type == "cuda" else torch.float32
    language = LanguageModel(GgufFile(options.model), wide)
    if options.language_layers:
        del language.layers[options.language_layers :]
    rms = float(language.embedding.float().square().mean().sqrt())
    vision = VisionModel(sizes, rms)
    if options.begin_with:
        vision = (read_gguf if options.begin_with.suffix == ".gguf" else load)(options.begin_with).train()
    learner = Learner(vision, language).to(device)
    makers = optimisers(learner, options.rate, options.decay)
    learning = [p for p in learner.parameters() if p.requires_grad]
    if together:
        for value in learning:
            others.broadcast(value.data, 0)
    clock = others.new_group(backend="gloo") if together else None
    done_before, step, log = 0.0, 0, []
    state = options.state / "state.pt" if options.state else None
    if state is not None and state.exists():
        stored = torch.load(state, map_location=device, weights_only=True)
        learner.vision.load_state_dict(stored["vision"])
        learner.head.load_state_dict(stored["head"])
        for maker, kept in zip(makers, stored["makers"], strict=True):
            maker.load_state_dict(kept)
        done_before, step = stored["seconds"], stored["step"]
    if options.compile:
        for block in (*learner.vision.blocks, *language.layers):
            block.compile()
    total = options.total or options.seconds
    autocast: AbstractContextManager[object] = (
        torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
    )
    while pool.filled() < min(options.slots, options.batch * 4):
        time.sleep(0.05)
    source = batches(pool, options.batch, options.seed + step, device)
    begin = time.monotonic()
    said = saved = begin
    first_step = step
    while True:
        now = time.monotonic()
        spent = done_before + now - begin
        if clock is not None:
            # All go by the first one's clock, so that none waits for a step that another does not take.
            told = torch.tensor([now - begin, spent], dtype=torch.float64)
            others.broadcast(told, 0, group=clock)
            now, spent = begin + told[0].item(), told[1].item()
        progress = max(spent / total, step / options.steps if options.steps else 0.0)
        if progress >= 1 or now - begin >= options.seconds:
            break
        warm = min(1.0, (step + 1) / options.warmup)
        falling = min(1.0, (1 - progress) / 0.6)
        rate = options.rate * warm * (0.02 + 0.98 * (0.5 - 0.5 * math.cos(math.pi * falling)))
        for maker in makers:
            for group in maker.param_groups:
                group["lr"] = rate
        pictures, lessons, marks, graded, wanted = next(source)
        mask = reading_mask(lessons[:, FIELDS.index("segments")], wide)
        with autocast:
            losses = learner(pictures, lessons, marks, graded, wanted, mask)
        helping = options.marks * max(0.1, 1 - 2 * progress)
        (losses.words + helping * losses.marks).backward()
        if together:
            _average([p.grad for p in learning if p.grad is not None])
        norm = nn.utils.clip_grad_norm_(learning, 1.0)
        for maker in makers:
            maker.step()
            maker.zero_grad(set_to_none=True)
        step += 1
        if first and (now - said > options.every or step == first_step + 1):
            row = {
                "step": step, "seconds": round(spent, 1), "rate": round(rate, 6),
                "words": round(losses.words.item(), 4), "marks": round(losses.marks.item(), 4),
                "right": round(losses.right.item(), 4), "norm": round(norm.item(), 3), "pictures": pool.made,
                "seen": step * options.batch * (others.get_world_size() if together else 1),
            }  # fmt: skip
            log.append(row)
            print(json.dumps(row), flush=True)
            said = now
        if first and now - saved > 60:
            save(options.out / "checkpoint.pt", learner.vision)
            saved = now
    if not first:
        return
    save(options.out / "checkpoint.pt", learner.vision)
    (options.out / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log), encoding="utf-8")
    if state is not None:
        state.parent.mkdir(parents=True, exist_ok=True)
        torch.save(
            {
                "vision": learner.vision.state_dict(), "head": learner.head.state_dict(),
                "makers": [maker.state_dict() for maker in makers],
                "seconds": done_before + time.monotonic() - begin, "step": step,
            },
            state,
        )  # fmt: skip
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
    print(f"done: {step} steps, {pool.made} pictures drawn in this call, {memory:.1f} GiB of the GPU used", flush=True)


def _average(gradients: list[Tensor]) -> None:
    """Make the gradients of all processes their mean."""
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    others.all_reduce(flat)
    flat /= others.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the language model's GGUF")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--begin-with", type=Path, help="checkpoint or projector file to begin with")
    parser.add_argument("--state", type=Path, help="folder of what a later call goes on from")
    parser.add_argument("--seconds", type=float, default=560, help="how long this call trains")
    parser.add_argument("--total", type=float, help="seconds of all calls together; default: this call's")
    parser.add_argument("--steps", type=int, default=0, help="end after so many steps, if that is sooner")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--warmup", type=int, default=150)
    parser.add_argument("--marks", type=float, default=0.3, help="weight of the helper head at the start")
    parser.add_argument("--slots", type=int, default=60000)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--language-layers", type=int, default=0, help="only so many of its layers, to try the script")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between lines of the log")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False)
    return parser.parse_args()


if __name__ == "__main__":
    main()
