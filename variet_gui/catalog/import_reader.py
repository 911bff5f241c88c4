"""Reads the words of a llama-server command line: what each flag meant, means today, or does no longer."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from variet_gui.catalog.command import is_scrubbed
from variet_gui.catalog.import_left_out import LeftOutReader
from variet_gui.catalog.import_paths import portable_value
from variet_gui.catalog.parameter_values import FALSE_WORDS
from variet_gui.catalog.parameters import (
    FlagUse,
    Kind,
    Parameter,
    ParameterError,
    Removed,
    argument,
    environment_use,
    flag_use,
    left_out,
    parameter,
    parse_argument,
)
from variet_gui.catalog.pasted import is_flag
from variet_gui.events import ParameterValue
from variet_gui.i18n import Message, msg

SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|(^|_)KEY", re.IGNORECASE)
"""What the name of a variable looks like when its value is nobody else's business."""

_MOST_VALUES = 256
"""No flag has more words behind it; those of an unknown one that has are kept one by one."""
_ARGUMENTS_OF_A_SCRIPT = frozenset({"$@", "$*", "${@}", "%*"})
_ONCE_TWO_WORDS = frozenset({"lora_scaled"})  # a file and a number; today both are one word
_SAID_OF_A_SWITCH = frozenset({"on", "off", "true", "false"})
"""Words that people put behind a switch; llama-server would refuse them."""


class ImportReader:
    """Reads one call of llama-server from left to right and gathers what it means."""

    def __init__(self, models_dir: Path | None, variables: Collection[str] = ()) -> None:
        """`variables`: the words in which the shell would still fill something in."""
        self._models_dir = models_dir
        self._variables = variables
        self._spelled: dict[str, str] = {}  # how each value was spelled, by key; "" where a variable gave it
        self._old: dict[str, dict[str, tuple[Removed, str]]] = {}  # removed flags in use: key -> flag -> as written
        self.values: dict[str, ParameterValue] = {}
        self.extra: list[str] = []
        self.environment: dict[str, str] = {}
        self.notes: list[Message] = []
        self.others = LeftOutReader(self.note, self._keep)
        """What it says that is no launch parameter."""

    def note(self, message: Message) -> None:
        """Tell something once."""
        if message not in self.notes:
            self.notes.append(message)

    # ------------------------------------------------------------------------------------------------- environment

    def read_environment(self, assignments: Mapping[str, str]) -> None:
        """Turn LLAMA_* variables into settings; keep the others, except secrets."""
        for name, value in assignments.items():
            use = environment_use(name)
            if use is not None:
                self._read_variable(name, value, use)
            elif name == "LLAMA_API_KEY":
                self.others.take_key(name, value)
            elif name == "LLAMA_ARG_PORT":
                self.others.take_port(name, value)
            elif is_scrubbed(name) or SECRET_NAME.search(name):
                self.note(msg("The variable {name} was left out: it does not belong into a profile.", name=name))
            elif value in self._variables:
                self._take_unfinished(name, value)
            else:
                self.environment[name] = value

    def _take_unfinished(self, name: str, value: str) -> None:
        """Keep of LD_LIBRARY_PATH=/opt/lib:$LD_LIBRARY_PATH what can be kept; no shell is there to fill in the rest."""
        kept = [part for part in value.split(":") if part and part not in (f"${name}", f"${{{name}}}")]
        if name == "PATH" or not kept or len(kept) == len(value.split(":")) or any("$" in part for part in kept):
            self.note(msg("The variable {name} was left out: its value names another variable.", name=name))
            return
        self.environment[name] = ":".join(kept)
        alone = self.environment[name]
        self.note(msg("The variable {name} is {value} alone: what it was before is not added.", name=name, value=alone))

    def _read_variable(self, name: str, text: str, use: FlagUse) -> None:
        row, removed = use.parameter, use.removed
        off = text.casefold() in FALSE_WORDS
        if removed is not None and not removed.takes_value:
            if off and not name.startswith("LLAMA_ARG_NO_"):
                removed = next((other for other in row.replaced if removed.flag in other.cancels), None)
            if removed is not None:
                self._take_removed(row, removed, name)
            return
        try:
            value: ParameterValue = False if use.negative else parse_argument(row, text)
        except ParameterError as error:
            self.note(msg("The variable {name} was left out: {problem}", name=name, problem=error.message))
            return
        self.values[row.key] = self._portable(row, value, text in self._variables)
        self._spelled[row.key] = ""
        self.note(msg("The variable {name} became the setting {flag}.", name=name, flag=row.flag))

    # --------------------------------------------------------------------------------------------------- arguments

    def read_arguments(self, arguments: Sequence[str]) -> None:
        """Read the words behind the program."""
        words = list(arguments)
        position = 0
        while position < len(words):
            word = words[position]
            if not is_flag(word) or word == "--":
                self._take_stray(word)
                position += 1
                continue
            flag, equals, inline = word.partition("=")
            if equals:
                self.note(msg("{flag}=value is not accepted by llama-server; it became two words.", flag=flag))
                words[position : position + 1] = [flag, inline]
                if word in self._variables:
                    self._variables = {*self._variables, inline}
            following = words[position + 1 : position + 1 + _MOST_VALUES]
            position += 1 + self._read_flag(flag, following, inline if equals else None)

    def _take_stray(self, word: str) -> None:
        if not word.strip():
            self.note(msg("An empty word was left out."))
        elif word in self._variables:
            self.note(msg("{word} was left out: nothing here says what it stands for.", word=word))
        elif word == "--":
            self.note(msg("{word} means nothing to llama-server, which would refuse it; it was left out.", word=word))
        else:
            self.extra.append(word)
            self.note(msg("{word} belongs to no flag; it was kept as an extra argument.", word=word))

    def _keep(self, flag: str, values: Sequence[str], why: Message) -> None:
        """Keep what the panel has no parameter for, as it stood there."""
        unknown = next((value for value in values if value in self._variables), None)
        if unknown is not None:
            self.note(msg("{flag} was left out: nothing here says what {value} stands for.", flag=flag, value=unknown))
        elif not all(value.strip() for value in values):
            self.note(msg("{flag} has no value; it was left out.", flag=flag))
        else:
            self.extra += [flag, *values]
            self.note(why)

    def _read_flag(self, flag: str, following: list[str], inline: str | None) -> int:
        """Read one flag and return how many of the words behind it belong to it."""
        use, entry = flag_use(flag), left_out(flag)
        if use is not None and _takes_value(use):
            return self._take_value(use, flag, following)
        if use is not None:
            value = inline if inline is not None else next(iter(following), "")
            said = inline is not None or value.casefold() in _SAID_OF_A_SWITCH
            self._take_switch(use, flag, on=not said or value.casefold() not in FALSE_WORDS)
            if said and inline is None:
                self.note(msg("{flag} takes no value; {value} was read as on or off.", flag=flag, value=value))
            return int(said)
        if entry is not None:
            values = following[: entry.values] if inline is None else following[:1]
            self.others.take(entry, flag, values)
            return len(values)
        values = list(takewhile(lambda word: not is_flag(word) and word not in self._variables, following))
        if not values and following and following[0] in self._variables and following[0] not in _ARGUMENTS_OF_A_SCRIPT:
            values = following[:1]
        self._keep(flag, values, msg("{flag} is not known to the panel; it was kept as an extra argument.", flag=flag))
        return len(values)

    def _take_switch(self, use: FlagUse, flag: str, on: bool) -> None:
        if use.removed is not None:
            if on:
                self._take_removed(use.parameter, use.removed, flag)
            return
        self._set(use.parameter, on != use.negative, flag)

    def _take_value(self, use: FlagUse, flag: str, following: list[str]) -> int:
        row = use.parameter
        text = following[0] if following else ""
        unfinished = text in self._variables
        taken = 1
        if row.key in _ONCE_TWO_WORDS and len(following) > 1 and _is_number(following[1]) and not is_flag(text):
            text, taken = ":".join(following[:2]), 2
            self.note(msg("{flag} takes one word now; it became {now}.", flag=flag, now=text))
        try:
            value = parse_argument(row, text)
        except ParameterError as problem:
            return self._take_bad_value(use, flag, following, problem)
        if use.removed is not None:
            now = f"{row.flag} {argument(row, value)}"
            self.note(msg("{flag} was removed from llama-server; it became {now}.", flag=flag, now=now))
        self._set(row, value, flag, unfinished=unfinished)
        return taken

    def _take_bad_value(self, use: FlagUse, flag: str, following: list[str], problem: ParameterError) -> int:
        row = use.parameter
        if row.bare_value is not None and (not following or is_flag(following[0])):
            now = f"{row.short} {row.bare_value}"
            self.note(msg("A bare {flag} would eat the next flag as its value; it became {now}.", flag=flag, now=now))
            self._set(row, row.bare_value, flag)
            return 0
        if not following or flag_use(following[0]) or left_out(following[0]):
            self.note(msg("{flag} has no value; it was left out.", flag=flag))
            return 0
        why = msg("{flag} was not taken over as a setting: {problem}", flag=flag, problem=problem.message)
        if use.removed is None:
            self._keep(flag, following[:1], why)
        else:
            self.note(why)
        return 1

    def _set(self, row: Parameter, value: ParameterValue, flag: str, *, unfinished: bool = False) -> None:
        value = self._portable(row, value, unfinished)
        if self._spelled.get(row.key):
            if row.many:
                value = f"{self.values[row.key]},{value}"
                self.note(msg("{flag} stands there more than once; the lists were joined.", flag=flag))
            else:
                self.note(
                    msg(
                        "{flag} stands there more than once; the last one wins: {value}.",
                        flag=flag,
                        value=argument(row, value),
                    )
                )
        self.values[row.key] = value
        self._spelled[row.key] = flag

    def _take_removed(self, row: Parameter, removed: Removed, spelled: str) -> None:
        in_use = self._old.setdefault(row.key, {})
        for cancelled in removed.cancels:
            in_use.pop(cancelled, None)
        in_use[removed.flag] = (removed, spelled)

    # ------------------------------------------------------------------------------------------------------ result

    def _portable(self, row: Parameter, value: ParameterValue, unfinished: bool) -> ParameterValue:
        if unfinished and row.kind is Kind.PATH:
            self.note(msg("{path} contains a variable; write the path out.", path=value))
        elif unfinished:
            self.note(msg("{value} contains a variable; write out what it stands for.", value=value))
        return portable_value(row, value, self._models_dir)

    def _settle_removed(self) -> None:
        for key, in_use in self._old.items():
            row = parameter(key)
            together = next((value for flags, value in row.replaced_together if flags <= in_use.keys()), None)
            meanings = [removed.becomes for removed, _ in in_use.values() if removed.becomes is not None]
            value = together if together is not None else (meanings[-1] if meanings else None)
            spelled = " ".join(written for _, written in in_use.values())
            if not in_use:
                continue
            if value is None:
                self.note(msg("{flag} was removed from llama-server; it was left out.", flag=spelled))
            elif key in self.values:
                self.note(msg("{flag} was removed from llama-server; {now} counts.", flag=spelled, now=row.flag))
            else:
                self.values[key] = value
                now = f"{row.flag} {argument(row, value)}"
                if together is not None:
                    self.note(msg("{flags} were removed; both together mean {now}.", flags=spelled, now=now))
                else:
                    self.note(msg("{flag} was removed from llama-server; it became {now}.", flag=spelled, now=now))

    def _settle_draft(self) -> None:
        flag = self._spelled.get("spec_draft_model", "")
        # Lines that use the present name are of a time when the draft model's file could say its own method.
        if flag in ("", "--spec-draft-model") or "spec_type" in self.values:
            return
        self.values["spec_type"] = "draft-simple"
        self.note(
            msg("{flag} alone does nothing any more; {now} was added.", flag=flag, now="--spec-type draft-simple")
        )

    def settle(self, *, whole_line: bool = True) -> None:
        """Decide what only shows at the end: removed flags together, a draft without a method, no model in a line."""
        self._settle_removed()
        self._settle_draft()
        if whole_line and "model" not in self.values:
            self.note(msg("The command line names no model file."))


def _is_number(word: str) -> bool:
    return re.fullmatch(r"-?\d*\.?\d+", word) is not None


def _takes_value(use: FlagUse) -> bool:
    if use.removed is not None:
        return use.removed.takes_value
    return not use.negative and (use.parameter.kind is not Kind.SWITCH or use.parameter.switch_values is not None)
