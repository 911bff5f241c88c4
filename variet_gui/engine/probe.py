"""What a llama-server can do, asked of itself: `--help` and `--version`, once per binary.

How both are written: `common/arg.cpp` (common_arg::to_string, common_params_print_usage) and `common/build-info`,
b11434. Neither loads a model.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.probe_cache import ProbeCache, Stamp, stamp_of
from variet_gui.i18n import Message, msg

log = logging.getLogger(__name__)

_LONGEST_RUN_S = 20.0
_COLUMN = 40
"""Where help texts begin; an entry that reaches it has its text on the next line."""
_FLAG = re.compile(r"(?P<flag>--?[A-Za-z0-9][\w.-]*)(?:,\s*|\s+|$)")
_VERSION = re.compile(
    r"^version: (?:(?P<version>\d+\.\d+\.\d+\S*) \(build (?P<build>\d+), commit (?P<commit>\w+)\)"
    r"|(?P<old_build>\d+) \((?P<old_commit>\w+)\))",
    re.MULTILINE,
)
_FIRST_OFFICIAL_BUILD = 2
"""Builds made outside of the project's own release say 0 or 1."""
_cache = ProbeCache()


class ProbeError(Exception):
    """A llama-server that does not even print its help. The message says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


async def probe(binary: EngineBinary, cache_dir: Path | None = None) -> Capabilities:
    """Ask `binary` what it can do, or remember what it said while the file was the same (path, size, mtime).

    Args:
        binary: from `engine.binary`.
        cache_dir: where answers are kept from one run of the panel to the next; None: in memory only.

    Raises:
        ProbeError: it cannot be run, does not end within 20 s, or prints no help.
    """
    stamp = await asyncio.to_thread(stamp_of, binary)
    known = _cache.get(stamp) or (await asyncio.to_thread(_cache.load, cache_dir, stamp) if cache_dir else None)
    if known is not None:
        return known
    # One after the other: two at once would have to be cleared up together when one fails, for a gain of 15 ms.
    help_text = await _ask(binary, "--help")
    try:
        version_text = await _ask(binary, "--version")
    except ProbeError as error:
        log.warning("the build is not known: %s", error)
        version_text = ""
    flags, removed, hints = parse_help(help_text)
    if not flags:
        raise ProbeError(
            msg("{program} is not a llama-server: its help names no flags.", program=_name(binary)),
        )
    build, commit, version = parse_version(version_text)
    found = Capabilities(
        flags=flags,
        removed=removed,
        value_hints=hints,
        build=build,
        commit=commit,
        version=version,
        embedded=binary.embedded,
        sha256=await asyncio.to_thread(_sha256, stamp),
    )
    _cache.put(stamp, found)
    if cache_dir is not None:
        await asyncio.to_thread(_cache.save, cache_dir, stamp, found)
    return found


def parse_help(text: str) -> tuple[frozenset[str], frozenset[str], tuple[tuple[str, str], ...]]:
    """Read what `--help` prints.

    Returns:
        All flags in all spellings; those among them that are named only to be refused; and (flag, hint) for every
        spelling that takes a value, such as ("--flash-attn", "[on|off|auto]").
    """
    flags: set[str] = set()
    removed: set[str] = set()
    hints: dict[str, str] = {}
    for entry in _entries(text.splitlines()):
        names, hint = _names(entry[0])
        flags.update(names)
        if "has been removed" in " ".join(line.strip() for line in entry[1:]):
            removed.update(names)
        if hint:
            hints.update(dict.fromkeys(names, hint))
    return frozenset(flags), frozenset(removed), tuple(sorted(hints.items()))


def parse_version(text: str) -> tuple[int | None, str | None, str | None]:
    """Read what `--version` prints, of new and old builds.

    Returns:
        Build number, commit and semantic version; None for what is not told or, for a build made outside of the
        project's own releases, means nothing.
    """
    match = _VERSION.search(text)
    if match is None:
        return None, None, None
    build = int(match["build"] or match["old_build"])
    commit = match["commit"] or match["old_commit"]
    return (
        build if build >= _FIRST_OFFICIAL_BUILD else None,
        None if commit == "unknown" else commit,
        match["version"],
    )


def _entries(lines: Sequence[str]) -> list[list[str]]:
    """Group the lines by entry: first the part with the flags, then the lines of its text."""
    entries: list[list[str]] = []
    for line in lines:
        if line.startswith("-") and not line.startswith("---"):
            # Three blanks before the column tell a padded entry from one that runs through it.
            padded = len(line) > _COLUMN and not line[_COLUMN - 3 : _COLUMN].strip()
            entries.append([line[:_COLUMN], line[_COLUMN:]] if padded else [line])
        elif entries and line.startswith(" "):
            entries[-1].append(line.strip())
    return entries


def _names(head: str) -> tuple[list[str], str]:
    names, rest = [], head.strip()
    while (match := _FLAG.match(rest)) is not None:
        names.append(match["flag"])
        rest = rest[match.end() :]
    return names, rest.strip()


async def _ask(binary: EngineBinary, question: str) -> str:
    """Run the binary with one argument and return all that it prints."""
    try:
        process = await asyncio.create_subprocess_exec(
            *binary.program,
            question,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            start_new_session=True,
        )
    except OSError as error:
        raise ProbeError(
            msg("{program} cannot be run: {reason}.", program=_name(binary), reason=error.strerror or str(error))
        ) from error
    try:
        stdout, stderr = await asyncio.wait_for(process.communicate(), _LONGEST_RUN_S)
    except TimeoutError:
        raise ProbeError(
            msg(
                "{program} did not answer {question} within {seconds} s.",
                program=_name(binary),
                question=question,
                seconds=int(_LONGEST_RUN_S),
            )
        ) from None
    finally:
        if process.returncode is None:
            _kill(process)
            await process.communicate()  # to the end of its output: else the pipes stay open
    text = (stdout + b"\n" + stderr).decode("utf-8", errors="replace")
    if process.returncode != 0:
        said = [line.strip() for line in text.splitlines() if line.strip()]
        raise ProbeError(
            msg(
                "{program} cannot be used: {reason}",
                program=_name(binary),
                reason=said[-1] if said else msg("it ended with exit code {code}.", code=process.returncode),
            )
        )
    return text


def _kill(process: asyncio.subprocess.Process) -> None:
    try:
        if sys.platform == "win32":
            process.kill()
        else:
            # The whole group: a wrapper script leaves what it started behind.
            os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        log.debug("process %d was gone already", process.pid)


def _environment() -> dict[str, str]:
    # LLAMA_* would be taken for arguments. Without a visible card nothing is loaded onto one to print a help text.
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("LLAMA_")}
    return {**kept, "CUDA_VISIBLE_DEVICES": "-1"}


def _sha256(stamp: Stamp) -> str | None:
    """Return the hash of the first file of `stamp`; for a wrapper script that is the script's."""
    if not stamp.files:
        return None
    try:
        with Path(stamp.files[0].path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        log.warning("no fingerprint of %s: %s", stamp.files[0].path, error)
        return None


def _name(binary: EngineBinary) -> object:
    return binary.path if binary.path is not None else binary.source
