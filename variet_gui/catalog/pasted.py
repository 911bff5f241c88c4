"""Find the call of llama-server in whatever was pasted: a line, a script, a unit file, a docker command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from variet_gui.catalog import shell
from variet_gui.catalog.parameters import flag_use, left_out
from variet_gui.catalog.pasted_container import read_container
from variet_gui.catalog.pasted_program import ASSIGNMENT, OWN_ENGINE, SILENT_WRAPPERS, Program, find_program
from variet_gui.catalog.pasted_script import Command, Variables, assignments_before, commands
from variet_gui.catalog.pasted_text import tidied
from variet_gui.catalog.pasted_unit import has_specifier, read_unit
from variet_gui.catalog.shell import Dialect, Word
from variet_gui.i18n import Message, msg

LONGEST = 131_072
"""Characters. No operating system takes a longer command line for one argument (Linux, MAX_ARG_STRLEN)."""

_LISTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_LIST = re.compile(rf"\[\s*(?:{_LISTED.pattern})(?:\s*+,\s*+(?:{_LISTED.pattern}))*+\s*+,?\s*+\]")
_PERHAPS_A_CALL = re.compile(r"llama|server|embedded", re.IGNORECASE)
_DEEPEST = 4
"""How many commands may stand inside each other: `ssh box "bash -c 'llama-server ...'"`."""


class Caller(Enum):
    """What is called with the flags."""

    LLAMA = "llama"
    """llama-server."""
    FLAGS = "flags"
    """Nothing, as flags alone were pasted; or a variable; or another program of llama.cpp, which has the same flags."""
    UNKNOWN = "unknown"
    """A program of another name: a script around llama-server, a build that was renamed, or something else."""
    OTHER = "other"
    """A program that is certainly something else: ls, git, another server."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of llama-server, taken apart."""

    arguments: tuple[str, ...] = ()
    program: str | None = None
    """As it was written; None where only arguments were pasted."""
    assignments: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that were set for it, in front of it or in lines before."""
    notes: tuple[Message, ...] = ()
    caller: Caller = Caller.FLAGS
    variables: frozenset[str] = frozenset()
    """Those of the arguments and of the assigned values in which the shell would still fill something in."""


def find_call(line: str | Sequence[str], windows: bool | Dialect | None = None) -> Call:
    """Return the call of llama-server in `line`, a text or an argument list; of several the first.

    Where there is none, what comes closest is returned. `windows` says by whose rules a text is quoted; None: by how it
    looks.

    Raises:
        ShellTextError: the text is too long, or a quotation mark is not closed.
    """
    if not isinstance(line, str):
        return _call(Command([Word(word) for word in line]), {})
    if len(line) > LONGEST:
        raise shell.ShellTextError(msg("This text is too long for a command line."))
    text, notes = tidied(line)
    call = (
        _call_in_unit(text)
        or _call_in_container(text)
        or _call_in_list(text)
        or _call_in_text(text, _dialect(text, windows))
    )
    return replace(call, notes=(*notes, *call.notes))


def is_flag(word: str) -> bool:
    """Whether `word` looks like a flag: it begins with a dash and is not a negative number."""
    return len(word) > 1 and word.startswith("-") and not re.fullmatch(r"-[\d.][\d.,eE+-]*", word)


def is_known_flag(word: str) -> bool:
    """Whether `word` is a flag of llama-server, of any age."""
    flag = word.split("=", 1)[0]
    return flag_use(flag) is not None or left_out(flag) is not None


def _dialect(text: str, windows: bool | Dialect | None) -> Dialect:
    if isinstance(windows, Dialect):
        return windows
    if windows is None:
        return shell.dialect_of(text)
    return Dialect.CMD if windows else Dialect.POSIX


def _call_in_unit(text: str) -> Call | None:
    unit = read_unit(text)
    if unit is None:
        return None
    call = _call_in_text(unit.command, Dialect.POSIX, unit.environment)
    return replace(call, variables=call.variables | set(filter(has_specifier, call.arguments)))


def _call_in_container(text: str) -> Call | None:
    container = read_container(text)
    if container is None:
        return None
    texts, image = container.arguments, container.image
    program = find_program(texts)
    if image is not None and (program is None or not program.is_llama):
        texts = [image, *texts]
    call = _call(Command([Word(text) for text in texts]), {})
    if image is not None and "llama" in image and call.caller is not Caller.OTHER:
        call = replace(call, caller=Caller.LLAMA)
    live = {text for text in (*texts, *container.environment.values()) if re.search(r"\$\w|\$\{", text)}
    return replace(call, assignments={**container.environment, **call.assignments}, variables=frozenset(live))


def _call_in_list(text: str) -> Call | None:
    """Return the call that a list of texts is, as JSON and Python write it."""
    for listed in _LIST.finditer(text):
        words = [re.sub(r"\\(.)", r"\1", one[1:-1]) for one in _LISTED.findall(listed[0])]
        call = _call(Command([Word(word) for word in words]), {})
        if call.caller is Caller.LLAMA and call.arguments:
            return call
    return None


def _call_in_text(text: str, dialect: Dialect, given: Mapping[str, Word] | None = None, depth: int = 0) -> Call:
    variables = Variables(dialect, dict(given or {}), exported=set(given or {}))
    found: list[tuple[Command, Mapping[str, Word]]] = []
    for command in commands(shell.split_as(text, dialect), variables):
        if found and is_flag(command.words[0].text):
            # A comment between two lines, or a backslash too few, ends a command; what follows is no command then.
            found[-1][0].words.extend(command.words)
        elif not variables.note(command):
            found.append((command, variables.environment()))
        elif any(map(_has_blanks, command.words)):
            found.append((command, {}))  # it may hold a whole call: alias fast='llama-server ...'
    calls = [_call_in_a_word(command, dialect, before, depth) or _call(command, before) for command, before in found]
    best = max(calls, key=_rank, default=None)
    if best is None:
        return _call(Command([]), variables.environment())
    if sum(_rank(call) == _SURE for call in calls) > 1:
        note = msg("The text calls llama-server more than once; the first call was read.")
        return replace(best, notes=(*best.notes, note))
    return best


_SURE = 4


def _rank(call: Call) -> int:
    """Return how much `call` is one of llama-server, from 0 to _SURE."""
    known = any(map(is_known_flag, filter(is_flag, call.arguments)))
    if call.caller is Caller.LLAMA and (known or any(name.startswith("LLAMA_") for name in call.assignments)):
        return _SURE
    if known and call.caller is not Caller.OTHER:
        return 3
    return int(call.caller is Caller.LLAMA) + any(map(is_flag, call.arguments))


def _call_in_a_word(command: Command, dialect: Dialect, before: Mapping[str, Word], depth: int) -> Call | None:
    """Return the call that one word is by itself, as in `bash -c "llama-server -m a.gguf"`; None: there is none."""
    program = find_program(command.texts)
    if depth == _DEEPEST or (program is not None and program.is_other):
        return None
    for index, word in enumerate(command.words):
        if program is not None and program.is_llama and index > program.position:
            return None  # what stands behind the program is its arguments
        if not _has_blanks(word):
            continue
        # CMD='llama-server ...' holds a call as well; LLAMA_ARG_CTX_SIZE=1 llama-server ... is one.
        for text in (word.text, word.text.partition("=")[2]):
            if not _PERHAPS_A_CALL.search(text):
                continue
            inner = shell.dialect_of(text) if dialect is Dialect.POSIX else dialect
            try:
                call = _call_in_text(text, inner, depth=depth + 1)
            except shell.ShellTextError:
                continue
            if call.caller is Caller.LLAMA and any(map(is_flag, call.arguments)):
                outside = {**before, **assignments_before(command.words, index)}
                return replace(
                    call, assignments={**{name: one.text for name, one in outside.items()}, **call.assignments}
                )
    return None


def _has_blanks(word: Word) -> bool:
    return any(map(str.isspace, word.text))


def _call(command: Command, before: Mapping[str, Word]) -> Call:
    texts = command.texts
    program = find_program(texts)
    if program is not None:
        begin = program.position + 1
    else:
        begin = next((index for index, text in enumerate(texts) if is_flag(text)), len(texts))
    assigned = {**before, **assignments_before(command.words, begin)}
    arguments = command.words[begin:]
    return Call(
        arguments=tuple(word.text for word in arguments),
        program=None if program is None else program.text,
        assignments={name: word.text for name, word in assigned.items()},
        notes=tuple(_notes(command, program)),
        caller=_caller(program, command.words),
        variables=frozenset(word.text for word in (*arguments, *assigned.values()) if word.holes),
    )


def _caller(program: Program | None, words: Sequence[Word]) -> Caller:
    if program is not None and program.is_llama:
        return Caller.LLAMA
    if program is None or program.is_relative or words[program.position].holes:
        return Caller.FLAGS
    return Caller.OTHER if program.is_other else Caller.UNKNOWN


def _notes(command: Command, program: Program | None) -> Iterator[Message]:
    if program is not None and program.text not in OWN_ENGINE:
        before = [word for word in command.texts[: program.position] if word.lower() not in SILENT_WRAPPERS]
        left_out_before = [word for word in before if ASSIGNMENT.fullmatch(word) is None and word != program.text]
        if left_out_before:
            # Only the first word: a password may stand among the others.
            yield msg("What stands before llama-server was left out: {word} and so on.", word=left_out_before[0])
        if not program.is_llama and command.words[program.position].holes:
            yield msg("Nothing here says what {word} stands for; what follows it was read.", word=program.text)
    if command.cut:
        yield msg("The redirection was left out: the panel keeps the log itself.")
