"""What one start is made of, and how it can fail before the server itself says anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import psutil

from variet_gui.catalog.command import Command
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.diagnosis_texts import PICK_ENGINE, SHOW_LOG, START_ON_CPU
from variet_gui.engine.process import SpawnError
from variet_gui.events import Failure, ParameterValue
from variet_gui.i18n import msg


@dataclass(frozen=True, slots=True)
class Launch:
    """All that one start needs, checked and put together by the caller."""

    command: Command
    environment: Mapping[str, str]
    """The whole environment of the server, not only what is added."""
    binary: EngineBinary
    values: Mapping[str, ParameterValue]
    """The launch parameters, by key; shown as what is running."""
    port: int
    keep_running: bool = False
    """The server survives the panel."""
    expected_load_s: float | None = None
    """How long earlier loads of the same model took; None when there was none."""
    running: psutil.Process | None = None
    """A process that runs already and is taken over instead of starting one."""
    url: str | None = None
    """A server that somebody else runs, instead of a process of ours."""


Prepare: TypeAlias = Callable[[], Awaitable[Launch]]
"""Checks files, port and binary and returns what to start; raises StartFailed where there is no point in starting."""


class StartFailed(Exception):  # noqa: N818 - what happened, in the words of an event
    """A start did not lead to a server that answers; `failure` says why. Its code is "cancelled" after a stop."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.title.english)
        self.failure = failure


def attachment(url: str, port: int) -> Launch:
    """Return the "launch" of a server that somebody else runs at `url`. `port` is the tier's own, and stays unused."""
    return Launch(Command(()), {}, EngineBinary((), None, False, msg("somebody else's server")), {}, port, url=url)


def cancelled(role: str) -> Failure:
    """Return the reason of a start that was stopped before it was up."""
    return Failure("cancelled", msg("The start of {role} was cancelled.", role=role))


def not_spawned(error: SpawnError) -> Failure:
    """Return the reason of a start whose program could not be executed."""
    about_engine = error.code.startswith("engine_")
    return Failure(error.code, error.message, fixes=(PICK_ENGINE, START_ON_CPU) if about_engine else ())


def no_log_folder(error: OSError) -> Failure:
    """Return the reason of a start whose log could not be made."""
    return Failure(
        "log_not_writable",
        msg(
            "The log {path} cannot be written: {reason}.",
            path=error.filename or "?",
            reason=error.strerror or str(error),
        ),
    )


def another_answers(port: int, model_path: str) -> Failure:
    """Return the reason of a start whose port another server had taken without an error (Windows allows that)."""
    return Failure(
        "another_server_answers",
        msg("Another server answers on port {port}; it runs {model}.", port=port, model=model_path or "?"),
        msg("End that program, or give this tier a port of its own."),
    )


def too_slow(role: str, limit_s: float) -> Failure:
    """Return the reason of a start that was given up because it took too long."""
    return Failure(
        "load_timeout",
        msg("{role} did not become ready within {seconds} s and was ended.", role=role, seconds=f"{limit_s:.0f}"),
        fixes=(SHOW_LOG,),
    )


def own_mistake(error: Exception) -> Failure:
    """Return the reason of a start that the panel itself got wrong; the panel's log has the traceback."""
    return Failure(
        "internal_error", msg("The panel itself failed: {reason}.", reason=f"{type(error).__name__}: {error}")
    )
