"""Which projector files in the models folder fit a model: theirs and the model's width are the same."""

from __future__ import annotations

import logging
from itertools import takewhile
from pathlib import Path

from variet_gui.gguf.header import GgufError, read_header
from variet_gui.gguf.projector import fits

log = logging.getLogger(__name__)

_MOST = 64
"""Files that are looked into; a folder of more projectors than that is not searched to its end."""


def fitting_projectors(model: Path, models_dir: Path) -> tuple[str, ...]:
    """Return the projectors that fit `model`, as the catalog would name them, the likeliest first. Blocks on the disk.

    Looks at the model's own folder, and at the models folder with the folders in it. A model or projector that cannot
    be read fits nothing.
    """
    try:
        header = read_header(model)
    except (GgufError, OSError) as error:
        log.info("no projector is proposed: %s", error)
        return ()
    found: list[Path] = []
    for path in _candidates(model.parent, models_dir)[:_MOST]:
        try:
            if path != model and fits(read_header(path), header):
                found.append(path)
        except (GgufError, OSError) as error:
            log.info("%s is not proposed: %s", path, error)
    stem = model.stem.casefold()
    # Several models have one width: the file that is named like the model is meant.
    found.sort(key=lambda path: (-_begins_alike(_plain(path), stem), path.name))
    return tuple(_named(path, models_dir) for path in found)


def _candidates(beside: Path, models_dir: Path) -> list[Path]:
    folders = (beside.glob("*.gguf"), models_dir.glob("*.gguf"), models_dir.glob("*/*.gguf"))
    paths = dict.fromkeys(path for folder in folders for path in sorted(folder))
    return [path for path in paths if "mmproj" in path.name.casefold()]


def _plain(path: Path) -> str:
    """Return the name without the word that says what it is: "mmproj-gemma-F16" and "gemma-mmproj-F16" alike."""
    return path.stem.casefold().replace("mmproj", "").strip("-_.")


def _begins_alike(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _named(path: Path, models_dir: Path) -> str:
    return path.relative_to(models_dir).as_posix() if path.is_relative_to(models_dir) else str(path)
