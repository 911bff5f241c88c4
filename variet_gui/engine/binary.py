"""Which llama-server to run: the tier's own, else the catalog's, else VARIET_LLAMA_SERVER, else the one on PATH.

A place that names a program decides: what it names must be there, nothing further is looked at. The embedded engine
runs on the CPU and is taken only where somebody named it, never because nothing else was found.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from variet_gui.catalog.tiers import Catalog, Tier
from variet_gui.helpers import Helper, helper_command
from variet_gui.i18n import Message, msg

EMBEDDED = "embedded"
"""What a catalog or VARIET_LLAMA_SERVER says for the engine that comes with the panel."""
VARIABLE = "VARIET_LLAMA_SERVER"


@dataclass(frozen=True, slots=True)
class EngineBinary:
    """A llama-server that can be started."""

    program: tuple[str, ...]
    """How a command line begins: the program, and for some the word that makes it a server."""
    path: Path | None
    """The file; None for the embedded engine, which is this program itself."""
    embedded: bool
    source: Message
    """Where it was named or found, as in "llama-server (the catalog's setting)"."""


class EngineNotFound(Exception):  # noqa: N818 - the name says what the operator sees
    """There is no llama-server to run. The message names what was looked for, and where that was said."""

    def __init__(self, message: Message, looked: tuple[Message, ...]) -> None:
        super().__init__(message.english)
        self.message = message
        self.looked = looked
        """The places that were asked, in order."""


def resolve(tier: Tier, catalog: Catalog, environ: Mapping[str, str]) -> EngineBinary:
    """Return the llama-server of `tier`.

    Raises:
        EngineNotFound: none is named and none is on PATH, or the one that is named cannot be run.
    """
    named = (
        (tier.engine, msg("the tier's own setting")),
        (catalog.engine, msg("the catalog's setting")),
        (environ.get(VARIABLE), msg("the environment variable {name}", name=VARIABLE)),
    )
    looked: list[Message] = []
    for name, source in named:
        looked.append(source)
        if name and name.strip():
            return _named(name.strip(), source, environ, tuple(looked))
    looked.append(msg("PATH"))
    found = shutil.which(_executable("llama-server"), path=environ.get("PATH"))
    if found is None:
        raise EngineNotFound(msg("No llama-server is named in the catalog, and none is on PATH."), tuple(looked))
    return _of_file(Path(found), msg("found on PATH"))


def embedded_engine(source: Message | None = None) -> EngineBinary:
    """Return the engine that comes with the panel and runs on the CPU.

    Raises:
        EngineNotFound: the package xllamacpp is not installed.
    """
    if not embedded_available():
        raise EngineNotFound(
            msg("The embedded engine is not installed. Install it with: pip install xllamacpp"),
            (source or msg("the embedded engine"),),
        )
    program = tuple(helper_command(Helper.EMBEDDED_ENGINE))
    return EngineBinary(program, None, embedded=True, source=source or msg("the embedded engine"))


def embedded_available() -> bool:
    """Whether the embedded engine is installed. Does not load it."""
    return importlib.util.find_spec("xllamacpp") is not None


def _named(name: str, source: Message, environ: Mapping[str, str], looked: tuple[Message, ...]) -> EngineBinary:
    if name == EMBEDDED:
        return embedded_engine(source)
    path = Path(os.path.expanduser(name))  # noqa: PTH111 - Path.expanduser raises for a user that does not exist
    if path.name == name:
        # A bare word is a command, as in a shell.
        found = shutil.which(name, path=environ.get("PATH"))
        if found is None:
            raise EngineNotFound(msg("{name} ({source}) is not on PATH.", name=name, source=source), looked)
        return _of_file(Path(found), source)
    if path.is_dir():
        problem = msg(
            "{path} ({source}) is a folder. Name the file {file} in it.",
            path=path,
            source=source,
            file=_executable("llama-server"),
        )
    elif not path.exists():
        problem = msg("{path} ({source}) does not exist.", path=path, source=source)
    elif not path.is_file() or not os.access(path, os.X_OK):
        problem = msg("{path} ({source}) is not a program that may be run.", path=path, source=source)
    else:
        return _of_file(path, source)
    raise EngineNotFound(problem, looked)


def _of_file(path: Path, source: Message) -> EngineBinary:
    path = path.absolute()
    # The unified program `llama` is a server only when told so.
    serve = ("serve",) if path.stem == "llama" else ()
    return EngineBinary((str(path), *serve), path, embedded=False, source=source)


def _executable(name: str) -> str:
    return f"{name}.exe" if sys.platform == "win32" else name
