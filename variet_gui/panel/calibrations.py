"""`calibration.json`: what this machine's own starts have taught, and which of it holds for a start to come."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variet_gui.catalog.whole_file import write_whole
from variet_gui.forecast.calibration import SCHEMA, UNCALIBRATED, Calibration, Observation
from variet_gui.i18n import Message, msg
from variet_gui.panel.fingerprints import UNKNOWN_CARD

log = logging.getLogger(__name__)

_CUDA = "CUDA"
_RPC = "RPC"
_DAMAGED = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a start's figures depend on beside its settings, as far as it decides which observations hold for it."""

    cards: tuple[tuple[str, str | None], ...] = ()
    """(llama.cpp's name, the card's uuid or name) of every device that has a card."""
    driver: str | None = None
    engine: str | None = None
    """Hash of the binary, else its build."""
    rpc: str | None = None
    """Addresses of RPC workers as the profile has them."""


class Calibrations:
    """The observations of one data folder. Read from any thread; `load` and `learn` belong to the core's loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.all = UNCALIBRATED
        """Everything that was seen, whatever it depended on."""
        self.problem: Message | None = None
        """Why earlier observations are not used; None when they are."""
        self._usable = True
        self._damaged = False
        self._writing = asyncio.Lock()
        self._lock = threading.Lock()
        self._fitting: dict[Circumstances, Calibration] = {}

    async def load(self) -> Message | None:
        """Read the file; return what has to be said of it. A damaged one is set aside at the next write, not here."""
        self.problem = await asyncio.to_thread(self._load)
        return self.problem

    async def set_aside(self) -> None:
        """Keep a file that was found damaged under another name, so that a new one can be written."""
        if self._damaged:
            await asyncio.to_thread(self._set_aside)

    def fitting(self, now: Circumstances) -> Calibration:
        """Return what holds for a start under these circumstances.

        A device's own card decides: what another card took says nothing. Of its observations those of the same driver
        and the same engine are taken; where there are none, those of the same driver; else all.
        """
        with self._lock:
            known = self._fitting.get(now)
            if known is None:
                known = self._fitting[now] = _fitting(self.all, now)
            return known

    async def learn(self, observations: Iterable[Observation]) -> None:
        """Take up what a start has taught and write it down. A disk that refuses is logged; what was seen is used."""
        new = tuple(observations)
        if not new:
            return
        async with self._writing:
            with self._lock:
                self.all = self.all.with_observations(new)
                self._fitting = {}
            await self.set_aside()
            if self._usable:
                await asyncio.to_thread(self._write, self.all)

    def _load(self) -> Message | None:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            return self._refuse(error)
        except OSError as error:
            self._usable = False  # what stands there may be of use to somebody: it is not replaced
            return msg(
                "{file} cannot be read ({reason}). What earlier starts have taught is not used.",
                file=self.path,
                reason=error.strerror or str(error),
            )
        try:
            if (schema := _schema_of(text)) > SCHEMA:
                self._usable = False
                return msg(
                    "{file} was written by a newer Variet (schema {found}; this one reads {known}). It is left as it "
                    "is, and nothing is learned.",
                    file=self.path,
                    found=schema,
                    known=SCHEMA,
                )
            calibration = Calibration.from_json(text)
        except _DAMAGED as error:
            return self._refuse(error)
        with self._lock:
            self.all, self._fitting = calibration, {}
        return None

    def _refuse(self, error: Exception) -> Message:
        log.warning("%s is damaged: %s", self.path, error)
        self._damaged = True
        return msg(
            "{file} is damaged. What earlier starts have taught is not used; before anything new is written there, it "
            "is kept as {aside}.",
            file=self.path,
            aside=self._aside.name,
        )

    @property
    def _aside(self) -> Path:
        return self.path.with_name(self.path.name + ".unreadable")

    def _set_aside(self) -> None:
        try:
            self.path.replace(self._aside)
            self._damaged = False
        except FileNotFoundError:
            self._damaged = False
        except OSError:
            log.exception("%s could not be set aside", self.path)
            self._usable = False

    def _write(self, calibration: Calibration) -> None:
        try:
            write_whole(self.path, (calibration.as_json() + "\n").encode("utf-8"))
        except OSError:
            log.exception("what a start has taught could not be kept in %s", self.path)


def _schema_of(text: str) -> int:
    document = json.loads(text)
    schema = document.get("schema") if isinstance(document, dict) else None
    return schema if isinstance(schema, int) else 0


def _fitting(every: Calibration, now: Circumstances) -> Calibration:
    cards = dict(now.cards)
    by_device: dict[str, list[Observation]] = {}
    for observation in every.observations:
        if _same_device(observation, cards, now):
            by_device.setdefault(observation.device, []).append(observation)
    chosen = {id(one) for seen in by_device.values() for one in _closest(seen, now)}
    return Calibration(tuple(one for one in every.observations if id(one) in chosen))


def _same_device(observation: Observation, cards: Mapping[str, str | None], now: Circumstances) -> bool:
    if observation.device.startswith(_RPC):
        return _parameter(observation, "rpc") == now.rpc
    then = _card(observation)
    there = cards.get(observation.device)
    return there is None or then is None or there == then


def _closest(seen: list[Observation], now: Circumstances) -> list[Observation]:
    same_driver = [one for one in seen if one.fingerprint.get("driver") == now.driver]
    same_engine = [one for one in same_driver if now.engine is not None and engine_of(one.fingerprint) == now.engine]
    return same_engine or same_driver or seen


def engine_of(fingerprint: Mapping[str, Any]) -> str | None:
    """Return what tells the engine of a stored fingerprint from others."""
    digest, build = fingerprint.get("binary_sha256"), fingerprint.get("build")
    return str(digest) if digest else None if build is None else f"b{build}"


def _card(observation: Observation) -> str | None:
    """Return the uuid or name of the card that a device was then; None: not known."""
    number = observation.device.removeprefix(_CUDA)
    gpus = observation.fingerprint.get("gpus")
    if not number.isdecimal() or not isinstance(gpus, list) or int(number) >= len(gpus):
        return None
    gpu = gpus[int(number)]
    return card_of(gpu.get("uuid"), gpu.get("name")) if isinstance(gpu, dict) else None


def card_of(uuid: str | None, name: str | None) -> str | None:
    """Return what tells a card from others; None where nobody knows."""
    return uuid or (None if name == UNKNOWN_CARD else name)


def _parameter(observation: Observation, key: str) -> object:
    parameters = observation.fingerprint.get("parameters")
    return parameters.get(key) if isinstance(parameters, dict) else None
