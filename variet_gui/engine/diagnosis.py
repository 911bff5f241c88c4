"""Why a server ended: from its log and exit code to one failure in plain words, with evidence and next steps.

The cause is the first line that explains the end, not the last one that mentions it.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace

from variet_gui.engine.diagnosis_rules import RULES, Rule, When
from variet_gui.engine.diagnosis_texts import CAUSES
from variet_gui.engine.log_parser import ErrorSaid, Listening, parse, split_line
from variet_gui.events import Failure
from variet_gui.i18n import Message, msg

_LINES_BEFORE_A_CRASH = 400
"""A server that worked for hours may have complained before; what ended it stands near the end of its log."""
_EVIDENCE_LINES = 8
_LAST_WORDS = 5

_SIGNAL_WORDS: Mapping[int, Message] = {
    4: msg("The signal was SIGILL (illegal instruction)."),
    6: msg("The signal was SIGABRT (it gave up by itself)."),
    7: msg("The signal was SIGBUS (memory that is not there)."),
    8: msg("The signal was SIGFPE (arithmetic error)."),
    9: msg("The signal was SIGKILL (ended by force)."),
    11: msg("The signal was SIGSEGV (forbidden memory)."),
}
_WINDOWS_WORDS: Mapping[int, Message] = {
    0xC0000005: msg("The code says access violation (forbidden memory)."),
    0xC000001D: msg("The code says illegal instruction."),
    0xC0000135: msg("A library (DLL) that it needs is missing."),
    0xC000013A: msg("It was stopped with Ctrl-C."),
    0xC0000409: msg("It gave up by itself (fast fail)."),
}
_CAUSE_OF_EXIT: Mapping[int, str] = {
    -4: "engine_wrong_cpu",
    -7: "model_file_vanished",
    -9: "killed",
    -11: "crashed",
    -2: "stopped_from_outside",
    -15: "stopped_from_outside",
    132: "engine_wrong_cpu",
    135: "model_file_vanished",
    137: "killed",
    139: "crashed",
    0xC0000005: "crashed",
    0xC000001D: "engine_wrong_cpu",
    0xC000013A: "stopped_from_outside",
}
"""Where the log is silent. 128 + n is what a wrapper script returns for signal n."""


def explain(*, role: str, exit_code: int | None, lines: Sequence[str], was_ready: bool) -> Failure:
    """Return why the server of `role` ended.

    Args:
        role: the tier's name, for the text.
        exit_code: as the operating system gave it; negative: killed by that signal; None: not known.
        lines: the log of this run, oldest first.
        was_ready: whether it had been ready; then only what it said afterwards can be the cause.
    """
    considered = _since_ready(lines)[-_LINES_BEFORE_A_CRASH:] if was_ready else lines
    found = _first_cause(considered, When.WORKING if was_ready else When.LOADING)
    if found is not None:
        rule, parameters, evidence = found
        known = failure(rule.cause, parameters, evidence=evidence, exit_code=exit_code)
        if exit_code is not None and exit_code not in (0, 1):
            return _with_ending(known, exit_code)
        return known
    cause = "unknown" if exit_code is None else _CAUSE_OF_EXIT.get(exit_code, "unknown")
    if cause == "unknown" and exit_code == 0 and was_ready:
        cause = "stopped_from_outside"
    unknown = failure(cause, {"role": role}, evidence=_last_words(considered), exit_code=exit_code)
    return _with_ending(unknown, exit_code)


def failure(
    code: str,
    parameters: Mapping[str, object] | None = None,
    *,
    evidence: Sequence[str] = (),
    exit_code: int | None = None,
) -> Failure:
    """Return the failure of the cause `code` (a key of CAUSES), its text filled with `parameters`."""
    cause = CAUSES[code]
    known = parameters or {}
    return Failure(
        code,
        fill(cause.title, known),
        None if cause.detail is None else fill(cause.detail, known),
        cause.fixes,
        tuple(evidence),
        exit_code,
    )


def fill(template: Message, parameters: Mapping[str, object]) -> Message:
    """Return `template` with its `{places}` filled; a place that nobody fills shows as a question mark."""
    places = re.findall(r"\{(\w+)\}", template.id)
    return replace(template, parameters={place: parameters.get(place, "?") for place in places})


def exit_in_words(exit_code: int | None) -> Message:
    """Say how a process ended."""
    if exit_code is None:
        return msg("How it ended is not known.")
    if exit_code == 0:
        return msg("It ended without reporting an error.")
    if exit_code < 0:
        known = _SIGNAL_WORDS.get(-exit_code)
        if known is not None:
            return known
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = str(-exit_code)
        return msg("The signal was {name}.", name=name)
    if exit_code in _WINDOWS_WORDS:
        return _WINDOWS_WORDS[exit_code]
    if exit_code > 0xFFFF:
        return msg("It ended with exit code {code}.", code=f"0x{exit_code:08X}")
    return msg("It ended with exit code {code}.", code=exit_code)


def _with_ending(known: Failure, exit_code: int | None) -> Failure:
    ending = exit_in_words(exit_code)
    detail = ending if known.detail is None else msg("{detail} {ending}", detail=known.detail, ending=ending)
    return replace(known, detail=detail)


def _since_ready(lines: Sequence[str]) -> Sequence[str]:
    for index in range(len(lines) - 1, -1, -1):
        if "listening on" in lines[index] and isinstance(parse(lines[index]), Listening):
            return lines[index + 1 :]
    return lines


def _first_cause(lines: Sequence[str], when: When) -> tuple[Rule, dict[str, object], list[str]] | None:
    said = [split_line(line) for line in lines]
    texts = [line.text for line in said]
    # Only what is not mere information can be a cause; lines without a level are raw prints or from older builds.
    suspects = [index for index, line in enumerate(said) if line.level not in ("I", "D", "T")]
    rules = [rule for rule in RULES if rule.when in (when, When.ALWAYS)]
    for weak in (False, True):
        for index in suspects:
            for rule in rules:
                if rule.weak is weak and (parameters := _parameters(rule, texts, index)) is not None:
                    return rule, parameters, _evidence(lines, index)
    return None


def _parameters(rule: Rule, texts: Sequence[str], index: int) -> dict[str, object] | None:
    """Return what `rule` reads from the line at `index` and those behind it, or None when it does not apply."""
    match = rule.pattern.search(texts[index])
    if match is None:
        return None
    groups = {name: said for name, said in match.groupdict().items() if said is not None}
    if rule.unless is not None and any(rule.unless.search(text) for text in texts[index + 1 :]):
        return None
    if rule.also is not None:
        more = _also(rule.also, groups, texts[index + 1 : index + 1 + rule.within])
        if more is None:
            return None
        groups.update(more)
    return {**rule.extra, **_readable(groups)}


def _also(pattern: re.Pattern[str], groups: Mapping[str, str], texts: Sequence[str]) -> dict[str, str] | None:
    for text in texts:
        match = pattern.search(text)
        if match is not None:
            found = {name: said for name, said in match.groupdict().items() if said is not None}
            if all(groups.get(name, said) == said for name, said in found.items() if name == "file"):
                return found
    return None


def _readable(groups: Mapping[str, str]) -> dict[str, object]:
    """Return the groups as people read them: a GPU by its name, a size in whole MiB."""
    result: dict[str, object] = {name: said.strip() for name, said in groups.items()}
    if "bytes" in result:
        result["mib"] = f"{int(groups['bytes']) / 2**20:.0f}"
    elif "mib" in result:
        result["mib"] = f"{float(groups['mib']):.0f}"
    if "gpu" in result:
        result["device"] = msg("GPU {index}", index=groups["gpu"])
    elif "name" in result:
        result["device"] = groups["name"]
    return result


def _evidence(lines: Sequence[str], index: int) -> list[str]:
    """Return the telling line and the errors that follow from it, each once."""
    chosen = [split_line(lines[index]).text]
    for line in lines[index + 1 :]:
        text = split_line(line).text
        if text not in chosen and isinstance(parse(line), ErrorSaid):
            chosen.append(text)
            if len(chosen) == _EVIDENCE_LINES:
                break
    return chosen


def _last_words(lines: Sequence[str]) -> list[str]:
    """Return the last errors of the log, or its last lines when there are none."""
    spoken = [line for line in lines if line.strip()]
    errors = [line for line in spoken if isinstance(parse(line), ErrorSaid)]
    return [split_line(line).text for line in (errors or spoken)[-_LAST_WORDS:]]
