"""Find the call of llama-server in whatever was pasted: a line, a script, a unit file, a docker command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from variet_gui.catalog import shell
from variet_gui.catalog.pasted_container import read_container
from variet_gui.catalog.pasted_text import tidied
from variet_gui.catalog.shell import Word
from variet_gui.helpers import Helper
from variet_gui.i18n import Message, msg

LONGEST = 131_072
"""Characters. No operating system takes a longer command line for one argument (Linux, MAX_ARG_STRLEN)."""

_ASSIGNMENT = re.compile(r"(?:\$env:)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL | re.IGNORECASE)
_SILENT_WRAPPERS = frozenset({"&", "exec", "env", "nohup", "sudo", "time", "start", "call", "export", "set", ""})
_IMAGE = re.compile(r"llama\.cpp:server\b")
_IMAGE_OF_ALL = re.compile(r"llama\.cpp:full\b")
"""An image of several programs, of which --server names the one."""
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)|%(\w+)%")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of llama-server, taken apart."""

    arguments: tuple[str, ...] = ()
    program: str | None = None
    """As it was written; None where only arguments were pasted."""
    assignments: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that were set for it, in front of it or in lines before."""
    windows: bool = False
    notes: tuple[Message, ...] = ()


def find_call(line: str | Sequence[str], windows: bool | None = None) -> Call:
    """Return the first call of llama-server in `line`, which is a text or an argument list.

    `windows` says by whose rules a text is quoted; None: by how it looks.

    Raises:
        ShellTextError: the text is too long, or a quotation mark is not closed.
    """
    if not isinstance(line, str):
        return _call(list(line), {}, bool(windows), cut=False)
    if len(line) > LONGEST:
        raise shell.ShellTextError(msg("This text is too long for a command line."))
    text, notes = tidied(line)
    call = _call_in_container(text) or _call_in_text(text, windows)
    return replace(call, notes=(*notes, *call.notes))


def is_flag(word: str) -> bool:
    """Whether `word` looks like a flag: it begins with a dash and is not a negative number."""
    return len(word) > 1 and word.startswith("-") and not re.fullmatch(r"-[\d.][\d.,eE+-]*", word)


def _call_in_container(text: str) -> Call | None:
    container = read_container(text)
    if container is None:
        return None
    words = container.arguments
    if _program_position(words) is None and container.image is not None:
        words = [container.image, *words]
    return _call(words, container.environment, windows=False, cut=False)


def _call_in_text(text: str, windows: bool | None) -> Call:
    by_windows = shell.looks_like_windows(text) if windows is None else windows
    assignments: dict[str, str] = {}
    fallback: Call | None = None
    commands = list(_commands(shell.split(text, by_windows)))
    for number, (words, cut) in enumerate(commands):
        inner = _command_in_a_word(words, by_windows)
        if inner is not None:
            call = _call_in_text(inner, by_windows)
            return replace(call, assignments={**assignments, **_assignments(words), **call.assignments})
        if _program_position(words) is not None:
            # A comment between two lines, or a backslash too few, ends a command; what follows is no command then.
            following = takewhile(lambda command: is_flag(command[0][0]), commands[number + 1 :])
            whole = [*words, *(word for more, _ in following for word in more)]
            return _expanded(_call(whole, assignments, by_windows, cut))
        if fallback is None and any(map(is_flag, words)):
            fallback = _call(words, assignments, by_windows, cut)
        assignments |= _assignments(words)
    return fallback or Call(assignments=assignments, windows=by_windows)


def _assignments(words: Sequence[str]) -> dict[str, str]:
    return {match[1]: match[2] for word in words if (match := _ASSIGNMENT.fullmatch(word))}


def _command_in_a_word(words: Sequence[str], windows: bool) -> str | None:
    """Return the word that is a whole call by itself, as in `bash -c "llama-server -m a.gguf"`; None: there is none."""
    for word in words:
        if not any(map(str.isspace, word)):
            if _program_position([word]) is not None:
                return None  # what stands behind the program is its arguments
            continue
        try:
            parts = shell.split(word, windows)
        except shell.ShellTextError:
            continue
        for inner, _ in _commands(parts):
            position = _program_position(inner)
            if position is not None and any(map(is_flag, inner[position:])):
                return word
    return None


def _expanded(call: Call) -> Call:
    """Return `call` with the variables that were set in the same text filled in; they are not the server's."""
    used: set[str] = set()

    def fill(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3]
        if name not in call.assignments:
            return match[0]
        used.add(name)
        return call.assignments[name]

    arguments = tuple(_VARIABLE.sub(fill, word) for word in call.arguments)
    kept = {name: value for name, value in call.assignments.items() if name not in used}
    return replace(call, arguments=arguments, assignments=kept)


def _commands(words: list[Word]) -> Iterator[tuple[list[str], bool]]:
    """Yield the words of each command, and whether a redirection was cut out of it."""
    command: list[str] = []
    cut = skip_next = False
    for word in [*words, Word("\n", operator=True)]:
        if not word.operator:
            if not skip_next:
                command.append(word.text)
            skip_next = False
        elif ">" in word.text or "<" in word.text:
            cut = skip_next = True
        else:
            if command:
                yield command, cut
            command, cut, skip_next = [], False, False


def _call(words: list[str], before: Mapping[str, str], windows: bool, cut: bool) -> Call:
    position = _program_position(words)
    if position is None:
        position = next((index for index, word in enumerate(words) if is_flag(word)), len(words)) - 1
    assignments = dict(before)
    left_out: list[str] = []
    for word in words[: max(position, 0)]:
        if assignment := _ASSIGNMENT.fullmatch(word):
            assignments[assignment[1]] = assignment[2]
        elif word.lower() not in _SILENT_WRAPPERS:
            left_out.append(word)
    notes = []
    if left_out and not _is_own_helper(words, position):
        # Only the first word: a password may stand among the others.
        notes.append(msg("What stands before llama-server was left out: {word} and so on.", word=left_out[0]))
    if cut:
        notes.append(msg("The redirection was left out: the panel keeps the log itself."))
    named = position - 1 if position > 0 and is_flag(words[position]) else position  # an image of several programs
    program = _without_key(words[named]) if position >= 0 else None
    return Call(tuple(words[position + 1 :]), program, assignments, windows, tuple(notes))


def _program_position(words: list[str]) -> int | None:
    if not words or is_flag(words[0]):
        return None
    for index, word in enumerate(words):
        if _ASSIGNMENT.fullmatch(_without_key(word)):
            continue  # LD_LIBRARY_PATH=/opt/llama-server-b11434 is no program
        name = re.split(r"[/\\]", _without_key(word))[-1].lower().removesuffix(".exe")
        following = words[index + 1] if index + 1 < len(words) else ""
        if _IMAGE_OF_ALL.search(word) and following in ("--server", "-s"):
            return index + 1
        if name.startswith("llama-server") or _IMAGE.search(word) or word == Helper.EMBEDDED_ENGINE.value:
            return index
        if name == "llama" and following == "serve":
            return index + 1
    return None


def _is_own_helper(words: list[str], position: int) -> bool:
    return position >= 0 and words[position] == Helper.EMBEDDED_ENGINE.value


def _without_key(word: str) -> str:
    """Take off the key that a systemd unit writes in front of a command."""
    return re.sub(r"^ExecStart=[-@:+!]*", "", word)
