"""Write a file whole or not at all: a reader, or a crash, sees the old content or the new one, never a part."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from itertools import count
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step. A symbolic link stays one; permissions are kept.

    Raises:
        OSError: the disk refused, or there is something else than a file; it names `path`. The old file is untouched
            and nothing is left beside it.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        # Put in the place of a device, a file would break the whole system.
        number = errno.EISDIR if target.is_dir() else errno.EINVAL
        raise OSError(number, os.strerror(number), str(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        temporary.replace(target)
    except BaseException as problem:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(problem, OSError) and problem.errno is not None:
            # The operator knows nothing of a temporary file.
            raise OSError(problem.errno, problem.strerror, str(path)) from problem
        raise
    _sync_folder(target.parent)


def set_aside(path: Path) -> Path:
    """Rename a file that cannot be understood to NAME.unreadable, or NAME.unreadable-2 and so on, and return where.

    What was set aside before is never replaced, however often it happens: it may be somebody's work, and only its owner
    throws it away.

    Raises:
        OSError: it cannot be renamed; it is where it was.
    """
    for number in count(1):
        aside = path.with_name(f"{path.name}.unreadable" + (f"-{number}" if number > 1 else ""))
        try:
            aside.open("xb").close()  # the name is ours from here on, whoever else does the same
        except FileExistsError:
            continue
        try:
            path.replace(aside)
        except OSError:
            aside.unlink()
            raise
        return aside
    raise AssertionError("numbers do not end")


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
