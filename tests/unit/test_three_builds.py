"""Profile -> command line -> profile, for the builds whose `--help` was recorded: May and October 2026, and our own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from tests.support.profiles import as_read_back, is_what_it_does_anyway, profiles, recorded_build, same_values
from variet_gui.catalog.command import Command, build
from variet_gui.catalog.importing import import_command
from variet_gui.catalog.parameters import PARAMETERS
from variet_gui.catalog.spelling import Speller
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.i18n import Message

BUILDS = {name: recorded_build(name) for name in ("b9093", "b11434", "embedded")}
MODELS = Path("/models")

every_build = pytest.mark.parametrize("name", BUILDS)


def command(profile: LaunchProfile, name: str) -> Command:
    return build(
        profile,
        program=["llama-server"],
        capabilities=BUILDS[name],
        port=8081,
        alias="fast",
        models_dir=MODELS,
        environ={},
    )


@every_build
@given(profile=profiles())
def test_that_any_profile_survives_the_command_line_of_a_build(name: str, profile: LaunchProfile) -> None:
    built = command(profile, name)
    back = import_command(built.argv, models_dir=MODELS)
    expected = as_read_back(profile)
    speller = Speller(BUILDS[name])
    told: list[Message] = []
    for row in PARAMETERS:
        if row.key not in profile.values:
            continue
        value = profile.values[row.key]
        spelled = speller.spell_in(profile, row)
        if spelled.note is not None:
            told.append(spelled.note)
        if spelled.words:
            assert same_values(back.values[row.key], expected[row.key]), row.key
        else:
            # What a build cannot be told is left off in so many words, or is what it does by itself.
            assert row.key not in back.values, row.key
            assert spelled.note is not None or is_what_it_does_anyway(row, value), row.key
    assert [note for note in built.notes if note in told] == told
    assert back.values.keys() <= expected.keys()
    assert back.extra_arguments == profile.extra_arguments
    assert (back.port, back.alias) == (8081, "fast")


@every_build
@given(profile=profiles())
def test_that_what_came_back_makes_the_same_line_again(name: str, profile: LaunchProfile) -> None:
    argv = command(profile, name).argv
    again = command(import_command(argv, models_dir=MODELS).profile("fast"), name)
    assert sorted(again.argv) == sorted(argv)  # the number of slots moves to its place in the table


@every_build
@given(profile=profiles())
def test_that_a_build_is_told_only_what_it_knows(name: str, profile: LaunchProfile) -> None:
    capabilities = BUILDS[name]
    argv = command(LaunchProfile("fast", profile.values), name).argv
    known = {flag for row in PARAMETERS for flag in (*row.spellings, *row.negatives)}
    strangers = [word for word in argv[1:] if word in known and not capabilities.knows(word)]
    values = {str(value) for value in profile.values.values()}
    assert [word for word in strangers if word not in values] == []


@pytest.mark.parametrize(
    ("name", "count"),
    [("b9093", 380), ("b11434", 400), ("embedded", 100)],
)
def test_that_the_recorded_help_is_read_whole(name: str, count: int) -> None:
    capabilities = BUILDS[name]
    assert len(capabilities.flags) > count
    assert {"-m", "-c", "-ngl", "-np", "--port", "--host"} <= capabilities.flags
    assert capabilities.value_hint("-c") == "N"
