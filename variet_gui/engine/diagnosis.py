"""Why a server ended: from its log, exit code and circumstances to one failure in plain words, with evidence.

The cause is the first line that explains the end, not the last one that mentions it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from variet_gui.catalog.parameters import flag_use
from variet_gui.engine.circumstances import NOTHING_KNOWN, Circumstances
from variet_gui.engine.diagnosis_exit import cause_of_exit, exit_in_words
from variet_gui.engine.diagnosis_memory import Found, memory_or_gpu
from variet_gui.engine.diagnosis_rules import RULES, TROUBLES, Rule, When
from variet_gui.engine.diagnosis_story import PHASES, Phase, Story
from variet_gui.engine.diagnosis_texts import CAUSES, NOTHING
from variet_gui.engine.failure_lines import device_text, plain
from variet_gui.engine.log_parser import ErrorSaid, parse
from variet_gui.events import Certainty, Failure
from variet_gui.i18n import Message, msg

__all__ = ["exit_in_words", "explain", "failure", "fill", "load_stopped", "trouble"]

_LINES_BEFORE_A_CRASH = 400
"""A server that worked for hours may have complained before; what ended it stands near the end of its log."""
_LINES_OF_A_LOAD = 3000
_LONGEST_LINE = 2000
"""What stands behind this in a line (a request that is printed) tells of no failure."""
_EVIDENCE_LINES = 8
_FILE = re.compile(r"failed to load model(?:,? '| from )(?P<file>[^']+)")
_FILE_WITHIN = 120
"""A trial run of --fit stands between the first complaint and the line that names the file."""
_LAST_WORDS = 5


def explain(
    *,
    role: str,
    exit_code: int | None,
    lines: Sequence[str],
    was_ready: bool,
    circumstances: Circumstances = NOTHING_KNOWN,
) -> Failure:
    """Return why the server of `role` ended.

    Args:
        role: the tier's name, for the text.
        exit_code: as the operating system gave it; negative: killed by that signal; None: not known.
        lines: the log of this run, oldest first.
        was_ready: whether it had been ready; then only what it said afterwards can be the cause.
        circumstances: what the panel itself saw around the end.
    """
    story = Story(_considered(lines, was_ready=was_ready), was_ready=was_ready)
    begin = 0
    if was_ready:
        begin = max(len(story.lines) - _LINES_BEFORE_A_CRASH, 0 if story.ready_at is None else story.ready_at + 1)
    found = _first_cause(story, begin, circumstances) or _by_exit(story, exit_code, circumstances, was_ready=was_ready)
    if found is None or found.cause == "unknown":
        found = _first_of(TROUBLES, story, begin, weak=False) or found
    if found is None:
        found = Found("unknown", -1)
    evidence = _evidence(story, found) if found.index >= 0 else _last_words(story, begin)
    parameters = {"role": role, **_file(story, found), **found.parameters}
    known = replace(
        failure(found.cause, parameters, evidence=evidence, exit_code=exit_code),
        certainty=found.certainty,
        device=found.device,
        part=found.part,
        observed=circumstances.observations(),
    )
    if exit_code in (0, 1) and found.index >= 0:
        return known
    return known if exit_code is None and found.index >= 0 else _with_ending(known, exit_code)


def trouble(role: str, lines: Iterable[str]) -> Failure | None:
    """Return what went wrong with a request while the server of `role` lives on, by the newest of `lines`; or None."""
    story = Story([line[:_LONGEST_LINE] for line in [*lines][-_LINES_BEFORE_A_CRASH:]], was_ready=True)
    found = _first_of(TROUBLES, story, 0, weak=False)
    if found is None:
        return None
    evidence = _evidence(story, found)
    return replace(
        failure(found.cause, {"role": role, **found.parameters}, evidence=evidence), certainty=found.certainty
    )


def load_stopped(role: str, known: Failure, lines: Sequence[str]) -> Failure:
    """Return the failure of a load that was given up, with the step that it had come to."""
    story = Story(_considered(lines, was_ready=False), was_ready=False)
    parameters = {"role": role, "seconds": known.title.parameters.get("seconds", "?"), "step": PHASES[story.end]}
    last = [plain(line.text) for line in story.lines if line.text.strip()][-_LAST_WORDS:]
    return failure("load_timeout", parameters, evidence=last, exit_code=known.exit_code)


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
    title = cause.title
    if cause.shorter is not None and not set(_places(title)) <= set(known):
        title = cause.shorter
    file = known.get("file")
    return Failure(
        code,
        fill(title, known),
        None if cause.detail is None else fill(cause.detail, known),
        cause.fixes,
        tuple(evidence),
        exit_code,
        file=file if isinstance(file, str) and file != "?" else None,
        named=dict(known),
    )


def fill(template: Message, parameters: Mapping[str, object]) -> Message:
    """Return `template` with its `{places}` filled; a place that nobody fills shows as a question mark."""
    return replace(template, parameters={place: parameters.get(place, "?") for place in _places(template)})


def _places(template: Message) -> list[str]:
    return re.findall(r"\{(\w+)\}", template.id)


def _with_ending(known: Failure, exit_code: int | None) -> Failure:
    ending = exit_in_words(exit_code)
    detail = ending if known.detail is None else msg("{detail} {ending}", detail=known.detail, ending=ending)
    return replace(known, detail=detail)


def _considered(lines: Sequence[str], *, was_ready: bool) -> Sequence[str]:
    """Return what is worth reading: of a long log the load at its beginning and what was said last."""
    kept = _LINES_BEFORE_A_CRASH * 2
    if len(lines) > _LINES_OF_A_LOAD:
        lines = [*lines[: _LINES_OF_A_LOAD - kept], *lines[-kept:]] if was_ready else lines[-_LINES_OF_A_LOAD:]
    return [line[:_LONGEST_LINE] for line in lines]


# ------------------------------------------------------------------------------------------------------ finding causes


def _first_cause(story: Story, begin: int, circumstances: Circumstances) -> Found | None:
    for weak in (False, True):
        found = _first_of(RULES, story, begin, weak=weak, circumstances=circumstances)
        if found is not None:
            return found
    return None


def _first_of(
    rules: Sequence[Rule], story: Story, begin: int, *, weak: bool, circumstances: Circumstances | None = None
) -> Found | None:
    """Return what the first telling line means; with `circumstances`, memory and GPUs are looked at too."""
    for index in story.suspects(begin):
        if circumstances is not None and not weak:
            found = memory_or_gpu(story, index, circumstances)
            if found is not None:
                return found
        when = When.LOADING if story.phases[index].is_load else When.WORKING
        for rule in rules:
            if rule.weak is weak and rule.when in (when, When.ALWAYS):
                parameters = _parameters(rule, story, index)
                if parameters is not None:
                    return _known_better(Found(rule.cause, index, parameters, rule.certainty))
    return None


def _parameters(rule: Rule, story: Story, index: int) -> dict[str, object] | None:
    """Return what `rule` reads from the line at `index` and its neighbours, or None when it does not apply."""
    match = rule.pattern.search(story.lines[index].text)
    if match is None:
        return None
    groups = _groups(match)
    if rule.before is not None:
        earlier = [m for line in story.lines[:index] if (m := rule.before.search(line.text)) is not None]
        if not earlier:
            return None
        for other in earlier:
            groups = {**_groups(other), **groups}
        if "address" in groups:
            groups.setdefault("endpoint", groups.pop("address"))
    if rule.also is not None:
        more = _also(rule.also, groups, [line.text for line in story.lines[index + 1 : index + 1 + rule.within]])
        if more is None:
            return None
        groups.update(more)
    result: dict[str, object] = {**rule.extra, **{name: plain(said).rstrip(".:; ") for name, said in groups.items()}}
    if isinstance(result.get("device"), str) and rule.cause.startswith("gpu"):
        result["device"] = device_text(str(result["device"]))
    return result


def _file(story: Story, found: Found) -> dict[str, object]:
    """Return the model's file where the telling line does not name it and a later one does."""
    if not found.cause.startswith("model_") or found.index < 0:
        return {}
    for line in story.lines[found.index : found.index + _FILE_WITHIN]:
        match = _FILE.search(line.text)
        if match is not None:
            return {"file": plain(match["file"])}
    return {}


def _groups(match: re.Match[str]) -> dict[str, str]:
    return {name: said.strip() for name, said in match.groupdict().items() if said is not None and said.strip()}


def _also(pattern: re.Pattern[str], groups: Mapping[str, str], texts: Sequence[str]) -> dict[str, str] | None:
    for text in texts:
        match = pattern.search(text)
        if match is not None:
            found = _groups(match)
            if all(groups.get(name, said) == said for name, said in found.items() if name == "file"):
                return found
    return None


def _known_better(found: Found) -> Found:
    """Tell of a flag that was removed by what the parameter table knows of it."""
    flag = str(found.parameters.get("flag", ""))
    use = flag_use(flag.split("=", 1)[0])
    if found.cause == "flag_unknown" and use is not None and use.removed is not None:
        named = {**found.parameters, "replacement": use.parameter.flag}
        return Found("flag_removed", found.index, named, found.certainty)
    return found


def _by_exit(story: Story, exit_code: int | None, circumstances: Circumstances, *, was_ready: bool) -> Found | None:
    """Return what the exit code means where the log is silent."""
    cause, certainty = cause_of_exit(exit_code)
    if cause == "killed" and (circumstances.processes_ended or circumstances.host_was_full):
        sure = Certainty.CERTAIN if circumstances.processes_ended else Certainty.LIKELY
        return Found("killed_for_memory", -1, certainty=sure)
    if cause == "crashed" and was_ready and (story.end is Phase.PICTURE or story.in_projector):
        # Builds before summer 2026 did not check whether the projector got its memory, and read from nowhere.
        if circumstances.full_gpus:
            device = circumstances.full_gpus[0]
            named = {"device": device_text(device)}
            return Found("out_of_gpu_memory_at_picture", -1, named, Certainty.LIKELY, device=device, part="picture")
        return Found("picture_fault", -1, {"reason": NOTHING}, Certainty.LIKELY)
    if cause == "unknown" and exit_code == 0 and was_ready:
        return Found("stopped_from_outside", -1, certainty=Certainty.LIKELY)
    return Found(cause, -1, certainty=certainty)


# ------------------------------------------------------------------------------------------------------------ evidence


def _evidence(story: Story, found: Found) -> list[str]:
    """Return the telling lines and the errors that follow from them, each once, oldest first."""
    chosen = {found.index, *found.also}
    for index in range(found.index + 1, len(story.lines)):
        if len(chosen) >= _EVIDENCE_LINES:
            break
        line = story.lines[index]
        if isinstance(parse(f"{line.level} {line.text}" if line.level else line.text), ErrorSaid):
            chosen.add(index)
    texts = [plain(story.lines[index].text) for index in sorted(chosen)]
    return list(dict.fromkeys(text for text in texts if text))[:_EVIDENCE_LINES]


def _last_words(story: Story, begin: int) -> list[str]:
    """Return the last errors of the log, or its last lines when there are none."""
    spoken = [line for line in story.lines[begin:] if line.text.strip()]
    errors = [
        line
        for line in spoken
        if isinstance(parse(f"{line.level} {line.text}" if line.level else line.text), ErrorSaid)
    ]
    return [plain(line.text) for line in (errors or spoken)[-_LAST_WORDS:]]
