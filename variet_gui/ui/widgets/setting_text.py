"""Settings of a tier in words: what a key is called, and what its value reads like."""

from __future__ import annotations

import json

from pydantic import JsonValue

from variet_gui.catalog.differences import Change
from variet_gui.catalog.parameter_types import ParameterError
from variet_gui.catalog.parameters import format_value, parameter
from variet_gui.i18n import Message, msg, ntr, tr

_LONGEST = 60

_OTHERS: dict[str, Message] = {
    "extra_arguments": msg("Extra arguments"),
    "port": msg("Port"),
    "engine": msg("llama-server"),
    "model_name": msg("Name of the model"),
    "keep_running": msg("Keeps running"),
}


def setting_name(key: str) -> str:
    """Return what the setting called `key` is called for people."""
    kind, _, name = key.partition(".")
    if name and kind == "environment":
        return tr("Variable {name}", name=name)
    if name and kind == "variants":
        return tr("Variant “{name}”", name=name)
    if key in _OTHERS:
        return str(_OTHERS[key])
    try:
        return str(parameter(key).label)
    except KeyError:
        return key


def setting_flag(key: str) -> str:
    """Return the flag of a launch parameter; empty for anything else."""
    try:
        return parameter(key).short
    except KeyError:
        return ""


def setting_value(key: str, value: JsonValue) -> str:
    """Return the value of a setting for people; None: not set."""
    if value is None:
        return tr("not set")
    if key.startswith("variants."):
        count = len(value.get("parameters") or {}) if isinstance(value, dict) else 0
        return ntr("{count} setting", "{count} settings", count)
    if key == "extra_arguments" and isinstance(value, list):
        return " ".join(str(word) for word in value)
    try:
        stored = tuple(value) if isinstance(value, list) else value
        return format_value(parameter(key), stored)
    except (KeyError, ParameterError, TypeError, ValueError):
        # No launch parameter, or one whose value another program wrote wrongly: shown as it stands in the file.
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def change_text(change: Change) -> str:
    """Return one change in a short line: "-ub 512 → 1 024"."""
    name = setting_flag(change.key) or setting_name(change.key)
    before, after = (_short(setting_value(change.key, value)) for value in (change.before, change.after))
    return f"{name} {before} → {after}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
