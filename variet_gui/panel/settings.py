"""The operator's own settings of the panel (not of the tiers): language and theme, kept in `settings.json`."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from variet_gui.catalog.whole_file import write_whole

log = logging.getLogger(__name__)


class Settings(BaseModel):
    """Settings with defaults everywhere. Unknown keys are kept, for a newer version's sake."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True, serialize_by_alias=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    language: Literal["system", "en", "ko"] = "system"
    theme: Literal["system", "light", "dark"] = "system"


def load_settings(path: Path) -> Settings:
    """Read the settings. A bad file never keeps the panel from starting: it is set aside and defaults are used."""
    try:
        return Settings.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Settings()
    except (OSError, ValidationError) as error:
        aside = path.with_suffix(".unreadable.json")
        log.warning("settings in %s cannot be read (%s); kept as %s", path, error, aside.name)
        try:
            path.replace(aside)
        except OSError:
            log.exception("%s could not be set aside", path)
        return Settings()


def save_settings(path: Path, settings: Settings) -> None:
    """Write the settings whole or not at all.

    Raises:
        OSError: the folder cannot be written to.
    """
    text = json.dumps(settings.model_dump(), indent=2, ensure_ascii=False) + "\n"
    write_whole(path, text.encode("utf-8"))
