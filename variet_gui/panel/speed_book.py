"""`speeds.json`: the speeds that were measured on this computer, each beside what had been expected of it."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

from variet_gui.catalog.whole_file import set_aside, write_whole
from variet_gui.forecast.speed_calibration import SCHEMA, UNMEASURED, SpeedCalibration, SpeedObservation
from variet_gui.i18n import Message, msg

log = logging.getLogger(__name__)

_DAMAGED = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


class SpeedBook:
    """The measured speeds of one data folder. `calibration` may be read from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calibration = UNMEASURED
        """Everything that was measured; replaced, never changed."""
        self._writable = True
        self._writing = asyncio.Lock()

    async def load(self) -> Message | None:
        """Read the file; return what has to be said of it. One that is damaged is set aside before the next is kept."""
        try:
            text = await asyncio.to_thread(self.path.read_text, encoding="utf-8")
            if (schema := _schema_of(text)) > SCHEMA:
                self._writable = False
                return msg(
                    "{file} was written by a newer Variet (schema {found}; this one reads {known}). It is left as it "
                    "is, and no speeds are learned.",
                    file=self.path,
                    found=schema,
                    known=SCHEMA,
                )
            self.calibration = SpeedCalibration.from_json(text)
        except FileNotFoundError:
            return None
        except _DAMAGED as error:  # a file in another encoding is a ValueError too
            return await self._refuse(error)
        except OSError as error:
            self._writable = False  # what stands there may be of use to somebody: it is not replaced
            return msg(
                "{file} cannot be read ({reason}). Speeds that were measured earlier are not used.",
                file=self.path,
                reason=error.strerror or str(error),
            )
        return None

    async def learn(self, seen: SpeedObservation) -> None:
        """Take up one measured speed and write it down; a disk that refuses is logged, and the speed is used."""
        async with self._writing:
            self.calibration = self.calibration.with_observations([seen])
            if not self._writable:
                return
            content = (self.calibration.as_json() + "\n").encode("utf-8")
            try:
                await asyncio.to_thread(write_whole, self.path, content)
            except OSError:
                log.exception("a measured speed could not be kept in %s", self.path)

    async def _refuse(self, problem: Exception) -> Message:
        log.warning("%s is damaged: %s", self.path, problem)
        try:
            aside = await asyncio.to_thread(set_aside, self.path)
        except OSError:
            log.exception("%s could not be set aside", self.path)
            self._writable = False
            return msg("{file} is damaged. Speeds that were measured earlier are not used.", file=self.path)
        return msg(
            "{file} is damaged and is kept as {aside}. Speeds that were measured earlier are not used.",
            file=self.path,
            aside=aside.name,
        )


def _schema_of(text: str) -> int:
    document = json.loads(text)
    schema = document.get("schema") if isinstance(document, dict) else None
    return schema if isinstance(schema, int) else 0
