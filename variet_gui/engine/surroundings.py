"""What would change a launch from outside of its command line: configuration files and environment variables.

Source: `common/arg.cpp` (common_params_apply_system_config) and `common/preset.cpp` (parse_ini_from_file), b11434.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.command import is_scrubbed
from variet_gui.catalog.parameters import FlagUse, environment_use, flag_use, left_out
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.build_era import has_since
from variet_gui.engine.findings import Finding, finding
from variet_gui.events import Fix, ParameterValue, Severity
from variet_gui.i18n import msg

SYSTEM_FILE = Path("/etc/llama.cpp/config.ini")

_WITHOUT_FILE, _WITH_FILE = 9093, 10840
"""Builds that were seen not to read a configuration file, and to read one."""
_SECTION = re.compile(r"\[\s*([^]]+?)\s*\]")
_SETTING = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*(.*)")
_APPLIED_SECTIONS = frozenset({"default", "*"})
_PASSED_BY_PANEL = frozenset(
    {"--host", "--port", "--alias", "--log-verbosity", "--offline", "--no-ui", "--ui", "--metrics", "--cors-origins"}
)
"""They stand on every command line of the panel (`catalog.command`), which comes last."""
_LONGEST_FILE = 1_000_000


def environment_findings(environ: Mapping[str, str]) -> list[Finding]:
    """Tell which variables of the panel's environment llama-server would obey, and does not get."""
    names = sorted(name for name in environ if is_scrubbed(name))
    return [finding("environment_scrubbed", Severity.INFO, names=", ".join(names))] if names else []


def config_file_findings(
    profile: LaunchProfile, environment: Mapping[str, str], capabilities: Capabilities | None
) -> list[Finding]:
    """Warn about configuration files that change this launch, with the keys that do.

    Args:
        profile: what is to be started: what it sets comes after the files.
        environment: the server's own; it says where the operator's file is.
        capabilities: of the build; those of before summer 2026 read no such file.
    """
    if has_since(capabilities, absent_in=_WITHOUT_FILE, present_in=_WITH_FILE) is False:
        return []
    if capabilities is not None and capabilities.embedded:
        return []
    found = []
    for path in config_files(environment):
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(_LONGEST_FILE)
        except FileNotFoundError:
            continue
        except OSError as error:
            found.append(
                finding("config_file_unreadable", Severity.WARNING, file=path, reason=error.strerror or str(error))
            )
            continue
        altering = [key for key in _keys(text) if not _is_overridden(key, profile)]
        if altering:
            keys = ", ".join(dict.fromkeys(altering))
            fixes = _defaults(altering)
            found.append(finding("config_file_alters", Severity.WARNING, fixes=fixes, file=path, keys=keys))
    return found


def config_files(environment: Mapping[str, str]) -> list[Path]:
    """Return where llama-server looks, whether there is a file or not; a later one wins."""
    if sys.platform == "win32":
        folders = [environment.get("PROGRAMDATA"), environment.get("APPDATA")]
        return [Path(folder) / "llama.cpp" / "config.ini" for folder in folders if folder]
    own = environment.get("XDG_CONFIG_HOME")
    home = environment.get("HOME")
    if own:
        return [SYSTEM_FILE, Path(own) / "llama.cpp" / "config.ini"]
    return [SYSTEM_FILE, *([Path(home) / ".config" / "llama.cpp" / "config.ini"] if home else [])]


def _keys(text: str) -> Iterator[str]:
    """Yield the settings that apply to a launch: those before any section, and those of two sections."""
    section = "default"
    for line in text.splitlines():
        stripped = line.strip()
        if heading := _SECTION.match(stripped):
            section = heading[1]
        elif (setting := _SETTING.match(stripped)) and section in _APPLIED_SECTIONS and setting[1] != "version":
            yield setting[1]


def _use(key: str) -> FlagUse | None:
    # Only a short flag has one dash; all keys of the file are without.
    return environment_use(key) or flag_use(f"--{key}") or flag_use(f"-{key}")


def _is_overridden(key: str, profile: LaunchProfile) -> bool:
    use = _use(key)
    if use is not None:
        name = use.parameter.key
        return name in ("model", "parallel") or profile.get(name) is not None
    entry = left_out(f"--{key}") or left_out(f"-{key}")
    return entry is not None and bool(_PASSED_BY_PANEL.intersection(entry.flags))


def _defaults(keys: list[str]) -> tuple[Fix, ...]:
    """Return the fix that sets what the file changes back to llama-server's own defaults, where there are such."""
    uses = [use for use in map(_use, keys) if use is not None]
    values: dict[str, ParameterValue | None] = {
        use.parameter.key: use.parameter.default for use in uses if use.parameter.default is not None
    }
    return (Fix(msg("Use llama-server's own defaults instead"), values),) if values else ()
