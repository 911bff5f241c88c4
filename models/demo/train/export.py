"""Write the projector file that llama.cpp loads from a checkpoint of train.py.

python models/demo/train/export.py --checkpoint run/checkpoint.pt
"""

from __future__ import annotations

import argparse
from pathlib import Path

from demo_vision.asking import PROJECTOR
from demo_vision.vision_model import load, write_gguf


def main() -> None:
    """Export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=PROJECTOR)
    options = parser.parse_args()
    model = load(options.checkpoint)
    path = write_gguf(options.out, model, "Variet demo vision for SmolLM2-135M-Instruct")
    parameters = sum(value.numel() for value in model.parameters())
    print(f"{path}: {parameters / 1e6:.1f} million parameters, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
