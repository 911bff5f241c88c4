"""Paths of a pasted command line as the catalog keeps them: relative to the models folder where they lie in it."""

from __future__ import annotations

from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from variet_gui.catalog.parameters import Kind, Parameter
from variet_gui.events import ParameterValue


def portable_value(row: Parameter, value: ParameterValue, models_dir: Path | None) -> ParameterValue:
    """Return the value of a path parameter as it is kept. Values of other kinds come back as they are."""
    if row.kind is not Kind.PATH:
        return value
    paths = str(value).split(",") if row.many else [str(value)]
    return ",".join(_portable(path, models_dir) for path in paths)


def _portable(text: str, models_dir: Path | None) -> str:
    windows = PureWindowsPath(text)
    path: PurePath = windows if windows.drive else PurePosixPath(text)
    if models_dir is not None and path.is_relative_to(models_dir):
        return path.relative_to(models_dir).as_posix()
    return str(windows) if windows.drive else text
