from __future__ import annotations

from collections.abc import Iterator

import pytest

from variet_gui import i18n
from variet_gui.i18n import msg, ntr, set_language, tr


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    set_language("en")


def test_that_a_message_renders_in_the_language_of_the_moment_it_is_shown() -> None:
    message = msg("stopped")
    assert str(message) == "stopped"
    set_language("ko")
    assert str(message) != "stopped"
    assert message.english == "stopped"


def test_that_a_message_inside_a_message_is_rendered_in_the_same_language() -> None:
    outer = msg("{role}: {problem}", role="fast", problem=msg("stopped"))
    set_language("ko")
    assert str(outer) == f"fast: {msg('stopped')}"
    assert outer.english == "fast: stopped"


def test_that_braces_in_a_text_without_parameters_are_kept() -> None:
    assert str(msg("{not a place}")) == "{not a place}"


def test_that_an_unknown_language_means_english() -> None:
    assert set_language("tlh") == "en"


def test_that_the_system_language_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    assert set_language("system") == "ko"
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("LC_MESSAGES", "")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setattr(i18n.locale, "getlocale", lambda: (None, None))
    assert set_language("system") == "en"


def test_that_a_plural_takes_its_form_from_the_count() -> None:
    texts = [ntr("{count} change", "{count} changes", count) for count in (0, 1, 2)]
    assert texts == ["0 changes", "1 change", "2 changes"]
    assert tr("{count} tokens", count=3) == "3 tokens"
