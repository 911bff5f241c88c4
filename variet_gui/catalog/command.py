"""From a launch profile to a command line and an environment. The way back is in `importing`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath

from variet_gui.catalog import shell
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.parameter_types import ParameterError
from variet_gui.catalog.parameters import (
    PARAMETERS,
    Kind,
    Parameter,
    flag_use,
    left_out,
    parse_argument,
)
from variet_gui.catalog.spelling import Speller
from variet_gui.catalog.tiers import LOOPBACK, LaunchProfile
from variet_gui.events import ParameterValue
from variet_gui.helpers import Helper
from variet_gui.i18n import Message, msg

HOST = LOOPBACK
"""The panel's servers listen on this computer alone."""

FIXED_ENVIRONMENT: Mapping[str, str] = {
    # CUDA's own order is by speed; this one is what nvidia-smi and NVML show.
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    # Without it an abort starts a debugger that holds the GPU memory for seconds.
    "GGML_NO_BACKTRACE": "1",
}

_ALTERING = frozenset({"AIP_MODE", "MTMD_BACKEND_DEVICE"})
"""Variables without the prefix LLAMA_ that llama-server takes settings from."""


@dataclass(frozen=True, slots=True)
class Command:
    """Everything that one start hands to the operating system."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """What is set on top of the panel's own environment."""
    removed_environment: tuple[str, ...] = ()
    """Names that the panel's environment has and the server does not get."""
    notes: tuple[Message, ...] = ()
    """What was left off or spelled otherwise, and why."""
    inherited_environment: Mapping[str, str] = field(default_factory=dict)
    """CUDA_* and GGML_* variables of the panel's environment that the server gets as they are."""
    program_words: int = 1
    """How many words of `argv` name the program."""
    extra_words: int = 0
    """How many words at the end of `argv` are extra arguments."""

    def spans(self, windows: bool = False) -> tuple[Span, ...]:
        """Return the words of the command line with the parameter that each belongs to."""
        return spans(self.argv, windows=windows, program_words=self.program_words)


@dataclass(frozen=True, slots=True)
class Span:
    """One word of a command line, quoted for the shell, and the key of the parameter that it belongs to."""

    text: str
    key: str | None = None


def build(
    profile: LaunchProfile,
    *,
    program: Sequence[str],
    capabilities: Capabilities | None,
    port: int,
    alias: str,
    models_dir: Path,
    environ: Mapping[str, str] | None = None,
    host: str = LOOPBACK,
    api_key_file: Path | None = None,
) -> Command:
    """Return the command that starts `profile` on `port`.

    Without capabilities (None, or none of whose flags are known) the spelling of the current build is used.
    `environ` is the environment that the server will inherit; None: that of this process. `host` is the address to
    listen on; beyond this computer with the key in `api_key_file`.
    """
    speller = Speller(capabilities)
    inherited = os.environ if environ is None else environ
    notes: list[Message] = []
    argv = [*program, *_baseline(speller, port, alias, host, api_key_file)]
    whole = _with_whole_paths(profile, models_dir)
    for parameter in PARAMETERS:
        spelled = speller.spell_in(whole, parameter)
        argv += spelled.words
        if spelled.note is not None:
            notes.append(spelled.note)
    if profile.get("parallel") is None and speller.knows("-np"):
        # llama-server's own choice is four slots, which multiplies the cache of Gemma and Qwen 3.5.
        argv += ["-np", "1"]
    if speller.knows("--metrics"):
        argv.append("--metrics")
    extra, dropped = _usable_extras(profile.extra_arguments)
    own, refused = _usable_environment(profile.environment)
    unknown = [
        msg("No launch parameter is called {key}; it was left off.", key=key)
        for key in profile.values
        if not any(parameter.key == key for parameter in PARAMETERS)
    ]
    return Command(
        argv=(*argv, *extra),
        environment={**FIXED_ENVIRONMENT, **own},
        removed_environment=tuple(sorted(name for name in inherited if is_scrubbed(name))),
        notes=(*notes, *unknown, *dropped, *refused),
        inherited_environment={
            name: value
            for name, value in sorted(inherited.items())
            if name.startswith(("CUDA_", "GGML_")) and name not in FIXED_ENVIRONMENT and name not in own
        },
        program_words=len(program),
        extra_words=len(extra),
    )


def child_environment(base: Mapping[str, str], command: Command) -> dict[str, str]:
    """Return the server's environment: `base` without what llama-server takes settings from, plus the command's."""
    return {name: value for name, value in base.items() if not is_scrubbed(name)} | dict(command.environment)


def is_scrubbed(name: str) -> bool:
    """Whether llama-server would take settings from the variable `name`, behind the back of the command line."""
    return name.upper().startswith("LLAMA_") or name.upper() in _ALTERING


def shell_text(argv: Sequence[str], windows: bool = False, environment: Mapping[str, str] | None = None) -> str:
    """Return a command line to paste into a shell, with assignments in front where `environment` is given."""
    line = shell.join(argv, windows)
    if not environment:
        return line
    if windows:
        assignments = [f'set "{name}={value}"' for name, value in environment.items()]
        return " && ".join([*assignments, line])
    return " ".join([*(f"{name}={shell.quote(value)}" for name, value in environment.items()), line])


def spans(argv: Sequence[str], *, windows: bool = False, program_words: int | None = None) -> tuple[Span, ...]:
    """Return the words of `argv`, quoted, with the parameter that each belongs to.

    Joined by spaces they are `shell_text(argv, windows)`. `program_words` is how many of them name the program;
    None: found out.
    """
    if program_words is None:
        helper = Helper.EMBEDDED_ENGINE.value
        program_words = argv.index(helper) + 1 if helper in argv else 1
    keys = [None] * program_words + [key for words, key in pieces(argv[program_words:]) for _ in words]
    return tuple(Span(shell.quote(word, windows), key) for word, key in zip(argv, keys, strict=True))


def pieces(arguments: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """Cut `arguments` into flags with the values behind them, each with the key of the parameter that it belongs to."""
    position = 0
    while position < len(arguments):
        use = flag_use(arguments[position])
        if use is None:
            entry = left_out(arguments[position])
            following = entry.values if entry else 0
            key = None
        else:
            key = use.parameter.key
            following = _following(use.parameter, use.negative, arguments[position + 1 : position + 2])
            if use.removed is not None:
                following = int(use.removed.takes_value)
        yield tuple(arguments[position : position + 1 + following]), key
        position += 1 + following


def _following(parameter: Parameter, negative: bool, following: Sequence[str]) -> int:
    if negative or (parameter.kind is Kind.SWITCH and parameter.switch_values is None):
        return 0
    if parameter.bare_value is not None and following:
        try:
            parse_argument(parameter, following[0])
        except ParameterError:
            return 0
    return 1


def _baseline(speller: Speller, port: int, alias: str, host: str, api_key_file: Path | None) -> Iterator[str]:
    if speller.says_info_at_level_4:
        yield from ("-lv", "4")  # first: the threshold counts from where it stands on the line
    if speller.knows("--offline"):
        yield "--offline"
    web_page = speller.first_known("--no-ui", "--no-webui")
    if web_page is not None:
        yield web_page
    yield from ("--host", host, "--port", str(port))
    if api_key_file is not None:
        yield from ("--api-key-file", str(api_key_file))
    if speller.knows("--cors-origins"):
        yield from ("--cors-origins", "localhost")  # else any web page may use the server
    yield from ("--alias", alias)


def _with_whole_paths(profile: LaunchProfile, models_dir: Path) -> LaunchProfile:
    rows = {parameter.key: parameter for parameter in PARAMETERS}
    values = {key: _resolved(rows[key], value, models_dir) for key, value in profile.values.items() if key in rows}
    return replace(profile, values=values)


def _resolved(parameter: Parameter, value: ParameterValue, models_dir: Path) -> ParameterValue:
    if parameter.kind is not Kind.PATH:
        return value
    paths = str(value).split(",") if parameter.many else [str(value)]
    return ",".join(_absolute(path, models_dir) for path in paths)


def _absolute(path: str, models_dir: Path) -> str:
    if PureWindowsPath(path).is_absolute() or Path(path).is_absolute():
        return path
    return str(Path(path).expanduser()) if path.startswith("~") else str(models_dir / path)


def _usable_extras(extra: Sequence[str]) -> tuple[list[str], list[Message]]:
    usable: list[str] = []
    notes: list[Message] = []
    skip = 0
    for word in extra:
        entry = left_out(word.split("=", 1)[0])
        if skip:
            skip -= 1
        elif entry is not None and entry.reason.refused_as_extra:
            skip = 0 if "=" in word else entry.values
            flag = word.split("=", 1)[0]
            notes.append(msg("The extra argument {flag} was left off. {reason}", flag=flag, reason=entry.reason.text))
        else:
            usable.append(word)
    return usable, notes


def _usable_environment(environment: Mapping[str, str]) -> tuple[dict[str, str], list[Message]]:
    usable = {name: value for name, value in environment.items() if not is_scrubbed(name)}
    notes = [
        msg("The variable {name} was left off: it would change the launch behind the command line.", name=name)
        for name in environment
        if is_scrubbed(name)
    ]
    return usable, notes
