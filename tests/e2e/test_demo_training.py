"""How the demo's projector is made, tried on the CPU: every script that needs PyTorch, in small.

PyTorch is no dependency of the panel: VARIET_TRAIN_PYTHON names an interpreter that has it (`.ci/full` makes one).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from variet_gui import assets
from variet_gui.gguf.header import read_header
from variet_gui.gguf.projector import projector_width

pytestmark = [pytest.mark.slow, pytest.mark.model, pytest.mark.timeout(600)]

TRAIN = Path(__file__).resolve().parents[2] / "models" / "demo" / "train"
SMALL = ("--batch", "2", "--slots", "16", "--workers", "1", "--every", "0", "--language-layers", "1", "--width", "64")


@pytest.fixture(scope="module")
def train_python() -> str:
    found = os.environ.get("VARIET_TRAIN_PYTHON")
    if not found:
        pytest.fail("VARIET_TRAIN_PYTHON must name a Python with the packages of the extra 'train'", pytrace=False)
    return found


def run(python: str, script: str, *words: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [python, "-W", "error::UserWarning", str(TRAIN / script), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def train(python: str, model: Path, out: Path, *more: str) -> list[dict[str, float]]:
    run(python, "train.py", "--model", str(model), "--out", str(out), *SMALL, "--layers", "1", *more)
    return [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def test_that_training_exports_a_projector_and_goes_on_from_it(
    train_python: str, demo_model: Path, tmp_path: Path
) -> None:
    state = ("--state", str(tmp_path / "state"), "--total", "400")
    first = train(train_python, demo_model, tmp_path / "one", "--steps", "3", *state)
    assert [row["step"] for row in first] == [1, 2, 3]
    resumed = train(train_python, demo_model, tmp_path / "two", "--steps", "4", *state)
    assert [row["step"] for row in resumed] == [4]
    target = tmp_path / "small.gguf"
    checkpoint = str(tmp_path / "two" / "checkpoint.pt")
    run(train_python, "export.py", "--checkpoint", checkpoint, "--out", str(target))
    assert projector_width(read_header(target)) == 576
    again = train(train_python, demo_model, tmp_path / "three", "--steps", "1", "--begin-with", str(target))
    assert len(again) == 1


@pytest.mark.engine
def test_that_pytorch_and_the_engine_compute_the_same(train_python: str, demo_model: Path, llama_server: Path) -> None:
    models = ("--engine", str(llama_server), "--model", str(demo_model))
    said = run(train_python, "compare.py", "--pictures", "12", *models)
    assert "of 12 are the same" in said
    largest = float(said.split("largest ")[1].split()[0])
    assert largest < 5e-3


def test_that_the_shipped_projector_is_small_and_fits() -> None:
    path = assets.demo_projector()
    assert path.stat().st_size < 24_000_000
    header = read_header(path)
    assert projector_width(header) == 576
    assert 5e6 < sum(tensor.n_elements for tensor in header.tensors) < 11e6
