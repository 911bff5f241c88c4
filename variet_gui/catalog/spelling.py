"""How one build of llama-server wants to be told the value of one parameter."""

from __future__ import annotations

import re
from dataclasses import dataclass

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.parameters import Kind, Parameter, argument
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ParameterValue
from variet_gui.i18n import Message, msg


@dataclass(frozen=True, slots=True)
class Spelling:
    """The words for the command line, and what is worth telling about them."""

    words: tuple[str, ...] = ()
    note: Message | None = None


class Speller:
    """Picks the spelling that one build takes; without capabilities, that of the current build."""

    def __init__(self, capabilities: Capabilities | None) -> None:
        # No flags at all means that the build could not be asked, not that it takes nothing.
        self._build = capabilities if capabilities is not None and capabilities.flags else None

    def knows(self, flag: str) -> bool:
        """Whether `flag` may stand on the command line of this build."""
        return self._build is None or self._build.knows(flag)

    def first_known(self, *flags: str) -> str | None:
        """Return the first of `flags` that this build knows, or None."""
        return next((flag for flag in flags if self.knows(flag)), None)

    @property
    def says_info_at_level_4(self) -> bool:
        """Whether `-lv 4` brings the lines of libllama.

        Builds before May 2026 print them by themselves and flood at level 4; the build that changed it also brought
        `--no-log-prefix`.
        """
        if self._build is not None and self._build.embedded:
            return self.knows("-lv")
        return self.knows("-lv") and self.knows("--no-log-prefix")

    @property
    def drafts_by_itself(self) -> bool:
        """Whether this build drafts as soon as it has a draft model, whatever its --spec-type says.

        Builds before mid-2026 take that flag, where they have it, for what is done without a draft model alone
        (common/speculative.cpp, `has_draft`, b9093); the later ones list the methods that use one.
        """
        if self._build is None:
            return False
        if not self._build.knows("--spec-type"):
            return True
        methods = _choices_in(self._build.value_hint("--spec-type") or "")
        return bool(methods) and not any(method.startswith("draft") for method in methods)

    def spell_in(self, profile: LaunchProfile, parameter: Parameter) -> Spelling:
        """Return how this build is told what `profile` says of `parameter`; nothing where it says nothing."""
        value = profile.get(parameter.key)
        if value is None:
            return Spelling()
        method = profile.get("spec_type")
        if parameter.key != "spec_draft_model" or not self.drafts_by_itself or method is None:
            return self.spell(parameter, value)
        if "draft-simple" in str(method).split(","):
            return self.spell(parameter, value)
        return Spelling(
            note=msg(
                "This llama-server ({build}) drafts as soon as it has a draft model. The method is {method}, so {flag} "
                "was left off.",
                build=self._label,
                method=method,
                flag=self.first_known(*parameter.spellings) or parameter.flag,
            )
        )

    def spell(self, parameter: Parameter, value: ParameterValue) -> Spelling:
        """Return how this build is told that `parameter` is `value`; no words where it cannot be told."""
        if parameter.kind is Kind.SWITCH and parameter.switch_values is None:
            return self._switch(parameter, bool(value))
        flag = self.first_known(*parameter.spellings)
        if flag is None:
            return self._older(parameter, value)
        text = argument(parameter, value)
        if parameter.bare_value is not None and self._stands_alone(parameter):
            return self._bare(parameter, flag, text)
        if text in parameter.words and parameter.words_need and not self.knows(parameter.words_need):
            return self._without_words(parameter, flag, text)
        if not self._takes(parameter, text):
            return Spelling(note=self._lacks(f"{flag} {text}"))
        return Spelling((flag, text))

    def _switch(self, parameter: Parameter, on: bool) -> Spelling:
        if not on and not parameter.negatives:
            return Spelling()  # it is off by leaving it away
        flag = self.first_known(*(parameter.spellings if on else parameter.negatives))
        if flag is not None:
            return Spelling((flag,))
        opposite = parameter.negatives if on else parameter.spellings
        if on == parameter.default and self.first_known(*opposite):
            return Spelling()  # this build has only the other flag, and does it by itself
        return Spelling(note=self._lacks(parameter.flag if on else parameter.negatives[0]))

    def _older(self, parameter: Parameter, value: ParameterValue) -> Spelling:
        current = f"{parameter.short} {argument(parameter, value)}"
        for form in parameter.older_forms:
            if form.value == value and all(self.knows(flag) for flag in form.flags):
                return Spelling(form.flags, _spelled(current, " ".join(form.flags)) if form.flags else None)
        for removed in parameter.replaced:
            if removed.takes_value and removed.becomes is None:
                flag = self.first_known(removed.flag, *removed.aliases)
                if flag is not None:
                    return Spelling((flag, argument(parameter, value)), _spelled(current, flag))
        return Spelling(note=self._lacks(parameter.flag))

    def _bare(self, parameter: Parameter, flag: str, text: str) -> Spelling:
        if text == parameter.bare_value:
            return Spelling((flag,), _spelled(f"{flag} {text}", flag))
        if text == "off":
            return Spelling()
        return Spelling(note=self._lacks(f"{flag} {text}"))

    def _without_words(self, parameter: Parameter, flag: str, word: str) -> Spelling:
        number = parameter.words_before.get(word)
        if number is None:
            return Spelling(note=self._lacks(f"{flag} {word}"))
        return Spelling((flag, number), _spelled(f"{flag} {word}", f"{flag} {number}"))

    def _stands_alone(self, parameter: Parameter) -> bool:
        """Whether this build's flag takes no value, though today's does."""
        if self._build is None or not self._build.value_hints:
            return False
        return not any(self._build.value_hint(flag) for flag in parameter.spellings)

    def _takes(self, parameter: Parameter, text: str) -> bool:
        if parameter.kind is not Kind.CHOICE or self._build is None:
            return True
        for flag in parameter.spellings:
            offered = _choices_in(self._build.value_hint(flag) or "")
            if offered:
                return set(text.split(",") if parameter.many else [text]) <= offered
        return True

    def _lacks(self, what: str) -> Message:
        return msg("This llama-server ({build}) does not know {flag}; it was left off.", build=self._label, flag=what)

    @property
    def _label(self) -> str:
        return self._build.label if self._build is not None else ""


def _spelled(current: str, words: str) -> Message:
    return msg("This llama-server says {words} for {current}.", words=words, current=current)


def _choices_in(hint: str) -> frozenset[str]:
    """Return the choices that `--help` lists in a value hint such as "[on|off|auto]" or "{none,layer,row}"."""
    inner = hint.strip("[]{}<>") if hint[:1] in "[{<" else hint
    parts = re.split(r"[|,]", inner)
    usable = len(parts) > 1 and all(re.fullmatch(r"[\w+.-]+", part) for part in parts) and "..." not in hint
    return frozenset(parts) if usable else frozenset()
