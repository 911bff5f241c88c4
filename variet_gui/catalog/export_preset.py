"""Tiers as the presets of llama-server's own router (INI).

The rules are those of common/preset.cpp in llama.cpp b11434: keys are flags without their dashes, a value ends at ; or
# or at the end of its line, and an unknown key keeps the router from starting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.export_parts import ExportError, Part, ReadPart
from variet_gui.catalog.export_record import Record, decoded
from variet_gui.catalog.parameter_values import FALSE_WORDS
from variet_gui.catalog.parameters import FlagUse, Kind, Reason, flag_use, left_out
from variet_gui.catalog.pasted import Call, Caller
from variet_gui.catalog.pasted_unit import looks_like_unit
from variet_gui.i18n import msg

_UNSAYABLE = re.compile(r"[;#\x00-\x1f\x7f]|^\s|\s$|^$")
_SECTION = re.compile(r"\[[ \t]*([^]]+?)[ \t]*\][ \t]*(?:[;#].*)?")
_SETTING = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*(.*?)[ \t]*(?:[;#].*)?")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class PresetWriter:
    """Writes tiers as sections. Where the servers listen is the router's own business, variables it has none for."""

    def can_say(self, word: str) -> bool:
        """Return False for what a value cannot hold."""
        return not _UNSAYABLE.search(word)

    def can_say_extra(self, words: Sequence[str], capabilities: Capabilities | None) -> bool:
        """Return whether they are flags that the router knows, each with at most one value and none of them twice."""
        try:
            settings = list(_pairs(words))
        except ExportError:
            return False
        flags = [_identity(flag) for flag, _ in settings]
        if len(set(flags)) < len(flags) or any(flag_use(flag) for flag, _ in settings):
            return False
        known = capabilities is None or not capabilities.flags or all(capabilities.knows(flag) for flag, _ in settings)
        return known and all(value is None or self.can_say(value) for _, value in settings)

    def can_say_variable(self, name: str, value: str) -> bool:
        """Return False: a preset has no variables."""
        del name, value
        return False

    def write(self, parts: Sequence[Part]) -> str:
        """Return the preset file."""
        lines = ["version = 1"]
        for part in parts:
            lines += ["", f"[{part.role}]", *(f"# {comment}" for comment in (part.headline, *part.comments))]
            argv = part.command.argv
            # What stands up to the alias belongs to a server of the panel's own.
            begin = argv.index("--alias", part.command.program_words) + 2
            for flag, value in _pairs(argv[begin:]):
                lines.append(f"{_long(flag).lstrip('-')} = {'true' if value is None else value}")
        return "\n".join(lines) + "\n"


WRITER = PresetWriter()


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield each flag with its value.

    Raises:
        ExportError: there is a word that is no flag, a flag that is not known, or one with two values.
    """
    position = 0
    while position < len(words):
        flag = words[position]
        bare = _bare_value(flag, words[position + 1 : position + 2])
        if bare is not None:
            yield flag, bare
            position += 1
            continue
        count = _values_of(flag)
        if count is None or count > 1 or position + count >= len(words):
            raise ExportError(msg("A preset has no place for {word}.", word=flag))
        yield flag, words[position + 1] if count else None
        position += 1 + count


def _bare_value(flag: str, following: Sequence[str]) -> str | None:
    """Return what `flag` means without a value, where an old build takes none and so none follows; else None."""
    use = flag_use(flag)
    if use is None or use.parameter.bare_value is None:
        return None
    alone = not following or flag_use(following[0]) is not None or left_out(following[0]) is not None
    return str(use.parameter.bare_value) if alone else None


def _values_of(flag: str) -> int | None:
    use, entry = flag_use(flag), left_out(flag)
    if use is not None:
        return int(_takes_value(use))
    if entry is not None and entry.reason not in (Reason.REMOVED, Reason.NO_EFFECT):
        return entry.values
    return None


def _takes_value(use: FlagUse) -> bool:
    if use.removed is not None:
        return use.removed.takes_value
    return not use.negative and (use.parameter.kind is not Kind.SWITCH or use.parameter.switch_values is not None)


def _identity(flag: str) -> str:
    entry = left_out(flag)
    return entry.flags[0] if entry is not None else flag


def _long(flag: str) -> str:
    """Return the long spelling of the current build for the short one that stands on command lines."""
    use = flag_use(flag)
    return use.parameter.flag if use is not None and flag == use.parameter.short else flag


# -------------------------------------------------------------------------------------------------------------- reading


def looks_like(text: str) -> bool:
    """Whether `text` is a preset: its first line that says something is a setting or a section, and it is no unit."""
    if looks_like_unit(text) or re.match(r"\s*\[\s*[\"']", text):
        return False  # a unit file, or a list of words
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and stripped[0] not in ";#":
            return bool(_SECTION.fullmatch(stripped) or re.match(r"version[ \t]*=", stripped))
    return False


def read(text: str) -> tuple[ReadPart, ...]:
    """Return the sections of a preset; what [*] sets counts for each of them, unless they set it themselves.

    Raises:
        ExportError: a line is neither a section, a setting nor a comment; it names the line.
    """
    sections: dict[str, dict[str, str]] = {}
    records: dict[str, Record] = {}
    current = ""
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        stripped = line.strip(" \t")
        if not stripped:
            continue
        if stripped[0] in ";#":
            record = decoded(stripped[1:])
            if record is not None:
                records[current] = record
        elif section := _SECTION.fullmatch(stripped):
            current = section[1]
            sections[current] = {}
        elif setting := _SETTING.fullmatch(stripped):
            sections.setdefault(current, {})[setting[1]] = setting[2]
        else:
            raise ExportError(msg("Line {line} is not understood: {found}", line=number, found=stripped[:60]))
    common = sections.pop("*", {})
    sections.pop("", None)
    return tuple(
        ReadPart(_call({**common, **settings}), role, record=records.get(role)) for role, settings in sections.items()
    )


def _call(settings: dict[str, str]) -> Call:
    arguments = tuple(_arguments(settings))
    # Half the programs there are keep their settings in such files.
    is_ours = any(flag_use(word) is not None for word in arguments)
    return Call(arguments, "llama-server", caller=Caller.FLAGS if is_ours else Caller.OTHER)


def _arguments(settings: dict[str, str]) -> Iterator[str]:
    for key, value in settings.items():
        if key in ("version", "load-on-startup", "stop-timeout"):
            continue  # the router's own
        flag = _flag(key)
        use, entry = flag_use(flag), left_out(flag)
        if use is not None and not _takes_value(use):
            if value.casefold() not in FALSE_WORDS:
                yield flag
            elif use.removed is not None:
                continue
            elif use.negative:
                yield use.parameter.flag
            elif use.parameter.negatives:
                yield use.parameter.negatives[0]
        elif entry is not None and entry.values == 0:
            if value.casefold() not in FALSE_WORDS:
                yield flag
        else:
            yield from (flag, value)


def _flag(key: str) -> str:
    """Return the flag of a key; long ones are tried first, as `_long` prefers them."""
    for flag in (f"--{key}", f"-{key}"):
        if flag_use(flag) is not None or left_out(flag) is not None:
            return flag
    return f"--{key}"
