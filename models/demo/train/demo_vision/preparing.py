"""A picture as the vision tower sees it: fitted into a square with black around it, as llama.cpp prepares it.

Source: `tools/mtmd/mtmd-image.cpp` (fixed size, fit and pad, bicubic), b11434, whose bicubic is Pillow's.
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from demo_vision.drawing import Pixels


def prepared(pixels: Pixels, size: int) -> Pixels:
    """Return the picture as (size, size, 3)."""
    height, width = pixels.shape[:2]
    if (width, height) == (size, size):
        return pixels
    scale = np.float32(min(np.float32(size) / np.float32(width), np.float32(size) / np.float32(height)))
    new_width = min(size, math.ceil(np.float32(width) * scale))
    new_height = min(size, math.ceil(np.float32(height) * scale))
    resized = Image.fromarray(pixels).resize((new_width, new_height), Image.Resampling.BICUBIC)
    square = np.zeros((size, size, 3), np.uint8)
    left, top = (size - new_width) // 2, (size - new_height) // 2
    square[top : top + new_height, left : left + new_width] = np.asarray(resized)
    return square


def through_jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Return the picture after it was kept as JPEG."""
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "JPEG", quality=quality)
    return np.asarray(Image.open(stored).convert("RGB"))
