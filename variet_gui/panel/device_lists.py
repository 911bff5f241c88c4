"""What engines list as their devices: asked in the background, and never while it could disturb a running tier."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.devices import DevicesError, EngineDevice, list_devices

log = logging.getLogger(__name__)

ASK_AGAIN_S = 60.0
"""An engine that gave no list, because a worker was away or the driver down, is asked again after so long."""


@dataclass(frozen=True, slots=True)
class EngineQuestion:
    """One engine as it would see this computer."""

    binary: EngineBinary
    visible: str | None
    """CUDA_VISIBLE_DEVICES."""
    rpc: str | None
    """Addresses of RPC workers."""
    environment: Mapping[str, str] = field(compare=False)
    """All that the server would get."""


@dataclass(frozen=True, slots=True)
class _Answer:
    devices: tuple[EngineDevice, ...] | None
    at: float


class DeviceLists:
    """The lists of one panel's engines."""

    def __init__(
        self, on_change: Callable[[], None], busy: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make it; nothing is asked before `run`.

        Args:
            on_change: called on the loop's thread when an engine has told something new.
            busy: whether a server of ours runs. Asking makes a context on every card, some 300 MiB each for a moment.
            clock: monotonic, s.
        """
        self._on_change = on_change
        self._busy = busy
        self._clock = clock
        self._answers: dict[tuple[object, ...], _Answer] = {}
        self._wanted: dict[tuple[object, ...], EngineQuestion] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked = asyncio.Event()

    def get(self, question: EngineQuestion) -> tuple[EngineDevice, ...] | None:
        """Return what the engine listed; None while that is not known, and then it is asked for. Never waits."""
        key = _key(question)
        answer = self._answers.get(key)
        stale = answer is None or (answer.devices is None and self._clock() - answer.at > ASK_AGAIN_S)
        if stale and not self._busy():
            with self._lock:
                new = key not in self._wanted
                self._wanted[key] = question
                loop = self._loop
            if new and loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(self._asked.set)
        return None if answer is None else answer.devices

    async def ask(self, question: EngineQuestion) -> None:
        """Ask now, what is free included."""
        devices: tuple[EngineDevice, ...] | None = None
        try:
            devices = await list_devices(
                question.binary, environment=question.environment, rpc=question.rpc, fresh=True
            )
        except DevicesError as error:
            log.info("no list of devices: %s", error)
        self.note(question, devices)

    def note(self, question: EngineQuestion, devices: tuple[EngineDevice, ...] | None) -> None:
        """Take up what an engine listed, whoever asked it; None: it does not answer."""
        self._answers[_key(question)] = _Answer(devices, self._clock())

    async def run(self) -> None:
        """Ask what is wanted, until cancelled."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
        try:
            while True:
                with self._lock:
                    wanted, self._wanted = self._wanted, {}
                    self._asked.clear()
                for question in wanted.values():
                    if not self._busy():
                        await self.ask(question)
                if wanted:
                    self._on_change()
                await self._asked.wait()
        finally:
            with self._lock:
                self._loop = None


def _key(question: EngineQuestion) -> tuple[object, ...]:
    return question.binary.program, question.visible, question.rpc
