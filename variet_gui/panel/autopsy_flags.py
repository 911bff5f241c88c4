"""Ways to start without a flag that llama-server refused: by what took its place, or by leaving it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from variet_gui.catalog.parameters import (
    FlagUse,
    Kind,
    ParameterError,
    check,
    flag_use,
    format_value,
    normalised,
    parse_text,
)
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import Fix, ParameterValue
from variet_gui.i18n import msg


def without_flag(said: str, profile: LaunchProfile, code: str) -> Iterator[Fix]:
    """Yield the ways, best first.

    Args:
        said: the flag as llama-server names it.
        profile: what was started: the flag stands among its extra arguments, or comes from a parameter.
        code: of the failure.
    """
    flag, equals, value = said.partition("=")
    use = flag_use(flag)
    rest, words = _taken_out(profile.extra_arguments, said, use)
    if equals and words:
        flag_alone = [word for one in profile.extra_arguments for word in ((flag, value) if one == said else (one,))]
        yield Fix(msg("Write {flag} and its value apart", flag=flag), extra_arguments=tuple(flag_alone))
    if use is not None and use.removed is not None and words:
        became = use.removed.becomes if use.removed.becomes is not None else _value(use, words)
        if became is not None:
            shown = format_value(use.parameter, became)
            text = msg("Use {flag} {value} instead", flag=use.parameter.flag, value=shown)
            yield Fix(text, {use.parameter.key: became}, extra_arguments=rest)
    if words:
        yield Fix(msg("Leave out {words}", words=" ".join(words)), extra_arguments=rest)
    elif use is not None and profile.get(use.parameter.key) is not None:
        own = msg("Use llama-server's own value for {flag}", flag=flag)
        yield Fix(own if code == "value_refused" else msg("Leave out {flag}", flag=flag), {use.parameter.key: None})


def _taken_out(words: Sequence[str], said: str, use: FlagUse | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return `words` without the flag and its values, and what was taken out."""
    kept: list[str] = []
    out: list[str] = []
    takes_value = use is None or use.parameter.kind is not Kind.SWITCH
    if use is not None and use.removed is not None:
        takes_value = use.removed.takes_value
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if normalised(word) != normalised(said) and word != said:
            kept.append(word)
            continue
        out.append(word)
        if takes_value and "=" not in word and position < len(words) and not _is_flag(words[position]):
            out.append(words[position])
            position += 1
    return tuple(kept), tuple(out)


def _is_flag(word: str) -> bool:
    return word.startswith("-") and not word.lstrip("-").replace(".", "", 1).isdigit()


def _value(use: FlagUse, words: Sequence[str]) -> ParameterValue | None:
    if len(words) < 2:
        return None
    try:
        return check(use.parameter, parse_text(use.parameter, words[1]))
    except ParameterError:
        return None
