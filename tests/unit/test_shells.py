"""Command lines are split by the rules of the shell that they were written for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variet_gui.catalog import shell
from variet_gui.catalog.shell import Dialect, ShellTextError, Word, dialect_of, split_as


def texts(line: str, dialect: Dialect) -> list[str]:
    return [word.text for word in split_as(line, dialect)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('a \'b \'\'c\' "d `"e`" ""f" ', ["a", "b 'c", 'd "e" "f']),
        ("a --x='b c' -ts 0.43,0.57 # end\nb", ["a", "--x=b c", "-ts", "0.43,0.57", "\n", "b"]),
        ("a `\n  b <# c\n d #> e", ["a", "b", "e"]),
        ("a '{\"x\": 1}' b", ["a", '{"x": 1}', "b"]),
        ("a '{\\\"x\\\": 1}' b", ["a", '{"x": 1}', "b"]),
        ('a "C:\\m\\" b', ["a", "C:\\m\\", "b"]),
        ("@('a','b c', d)", ["@(", "a", ",", "b c", ",", "d", ")"]),
        ("a 2>&1 > log; b", ["a", "2>&1", ">", "log", ";", "b"]),
    ],
)
def test_that_powershell_is_split_by_its_own_rules(line: str, words: list[str]) -> None:
    assert texts(line, Dialect.POWERSHELL) == words


def test_that_a_batch_file_doubles_its_percent_signs() -> None:
    (_, word) = split_as("x 50%%A%%", Dialect.BATCH)
    assert (word.text, word.holes) == ("50%A%", ())
    (_, word) = split_as("x 50%A%", Dialect.CMD)
    assert [word.text[hole.start : hole.end] for hole in word.holes] == ["%A%"]


def test_that_a_set_of_the_prompt_keeps_a_backslash_at_its_end() -> None:
    assert texts('set "A=C:\\m\\" && x', Dialect.CMD) == ["set", "A=C:\\m\\", "&&", "x"]
    assert texts('x "A=b" && @SET "B=%A%"', Dialect.CMD) == ["x", "A=b", "&&", "SET", "B=%A%"]


def test_that_what_a_command_prints_is_part_of_the_word() -> None:
    words = split_as('a $(b \'c d\' $(e)) "x $(f "g") y" `h i` $(j', Dialect.POSIX)
    assert [word.text for word in words[:4]] == ["a", "$(b 'c d' $(e))", 'x $(f "g") y', "`h i`"]
    assert all(word.holes for word in words[1:4])


@pytest.mark.parametrize(
    ("line", "dialect"),
    [
        ("llama-server -m a.gguf", Dialect.POSIX),
        ("llama-server -ot '.\\d+=CPU'", Dialect.POSIX),
        ("llama-server -m %HOME%", Dialect.POSIX),
        ("llama-server -m C:\\a.gguf", Dialect.CMD),
        (".\\llama-server -m a.gguf", Dialect.CMD),
        ("set A=1\nllama-server -m a.gguf", Dialect.CMD),
        ("echo x\nset A=1\nllama-server -m a.gguf", Dialect.CMD),
        ("llama-server ^\n -m a.gguf", Dialect.CMD),
        ("llama-server `\n -m a.gguf", Dialect.POWERSHELL),
        ("$env:A=1; llama-server -m a.gguf", Dialect.POWERSHELL),
        ("x\n& 'C:\\llama-server.exe' -m a.gguf", Dialect.POWERSHELL),
    ],
)
def test_that_a_line_shows_what_it_was_written_for(line: str, dialect: Dialect) -> None:
    assert dialect_of(line) is dialect


@given(st.text(max_size=60), st.sampled_from(Dialect))
def test_that_splitting_fails_for_nothing_but_an_open_quotation_mark(text: str, dialect: Dialect) -> None:
    try:
        words = split_as(text, dialect)
    except ShellTextError as error:
        assert "quotation mark" in str(error)  # noqa: PT017 (an open quotation mark is an answer, not a failure)
    else:
        for word in words:
            assert all(0 <= hole.start < hole.end <= len(word.text) for hole in word.holes)


@given(st.lists(st.text(max_size=8), max_size=4))
def test_that_what_is_quoted_for_a_posix_shell_has_nothing_to_fill_in(words: list[str]) -> None:
    assert [word.holes for word in shell.split(shell.join(words))] == [()] * len(words)
    assert shell.split(shell.join(words)) == [Word(word) for word in words]
