"""Text in the operator's language: a message id with parameters becomes a sentence.

The English sentence is the message id (gettext's own custom). The core passes `Message` values around and renders
them late, so that a change of language reaches text that was made before it. One catalog serves window, terminal and
reports.
"""

from __future__ import annotations

import gettext
import locale
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from variet_gui import assets

DOMAIN = "variet"
LANGUAGES: Mapping[str, str] = {"en": "English", "ko": "한국어"}
"""Language codes that have a complete catalog, with the name that each language gives itself."""

_translations: gettext.NullTranslations = gettext.NullTranslations()
_language = "en"


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence in no language yet: `id` is the English text with `{named}` places for `parameters`.

    A parameter may be a Message itself; it is rendered in the same language.
    """

    id: str
    parameters: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """Render in the current language."""
        return _fill(_translations.gettext(self.id), self.parameters)

    def __hash__(self) -> int:
        """Let equal messages count once; parameters need not be hashable for that."""
        return hash(self.id)

    @property
    def english(self) -> str:
        """Render in English, for log files and machine-readable output."""
        return _fill(self.id, {key: _english(value) for key, value in self.parameters.items()})


def msg(text: str, **parameters: object) -> Message:
    """Mark `text` for translation and keep it with its parameters, to be rendered when it is shown."""
    return Message(text, parameters)


def tr(text: str, **parameters: object) -> str:
    """Translate `text` now and fill in its `{named}` parameters."""
    return _fill(_translations.gettext(text), parameters)


def ntr(singular: str, plural: str, count: int, **parameters: object) -> str:
    """Translate a sentence whose form depends on `count`; `{count}` is among its parameters."""
    return _fill(_translations.ngettext(singular, plural, count), {"count": count, **parameters})


def set_language(code: str) -> str:
    """Use the language `code` ("en", "ko" or "system") from now on and return the one that was chosen.

    An unknown code means English: a wrong setting must not stop the program.
    """
    global _translations, _language
    chosen = system_language() if code == "system" else code
    if chosen not in LANGUAGES:
        chosen = "en"
    if chosen == "en":
        _translations = gettext.NullTranslations()
    else:
        _translations = gettext.translation(DOMAIN, assets.resource("translations"), [chosen])
    _language = chosen
    return chosen


def current_language() -> str:
    """Return the code of the language in use."""
    return _language


def system_language() -> str:
    """Return the operator's language by environment or platform; "en" where none fits."""
    names = [os.environ.get(key, "") for key in ("LC_ALL", "LC_MESSAGES", "LANG")]
    names.append(locale.getlocale()[0] or "")
    for name in names:
        code = name.split("_")[0].split(".")[0].lower()
        code = {"korean": "ko", "english": "en"}.get(code, code)
        if code in LANGUAGES:
            return code
    return "en"


def _fill(text: str, parameters: Mapping[str, object]) -> str:
    return text.format(**parameters) if parameters else text


def _english(value: object) -> object:
    return value.english if isinstance(value, Message) else value
