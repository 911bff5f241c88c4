"""Undo, redo, and edits that survive a crash."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.profiles import profiles
from tests.support.tuning import Bench
from tests.support.waiting import run_async, wait_until
from variet_gui.catalog.differences import merge_profiles, profile_of, settings_of
from variet_gui.catalog.parameters import ParameterError
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import NoticeRaised
from variet_gui.panel.draft_file import DraftFile
from variet_gui.panel.drafts import Draft, Drafts


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    run_async(bench.tune.load())
    return bench


def context(bench: Bench, role: str = "fast") -> Any:
    return bench.tune.draft(role).get("ctx_size")


# ------------------------------------------------------------------------------------------------------ undo and redo


def test_that_undo_and_redo_go_through_the_edits_of_one_role(bench: Bench) -> None:
    tune = bench.tune
    assert not tune.can_undo("fast")
    assert not tune.undo("fast")
    tune.edit("fast", "ctx_size", 8192)
    tune.edit("fast", "ubatch_size", 256)
    tune.edit("ultra", "ctx_size", 1024)
    assert tune.undo("fast")
    assert (context(bench), tune.draft("fast").get("ubatch_size")) == (8192, None)
    assert tune.undo("fast")
    assert (context(bench), tune.changed("fast"), tune.is_changed("fast")) == (4096, (), False)
    assert not tune.can_undo("fast")
    assert tune.redo("fast")
    assert tune.redo("fast")
    assert not tune.redo("fast")
    assert tune.changed("fast") == ("ctx_size", "ubatch_size")
    assert context(bench, "ultra") == 1024


def test_that_an_edit_after_undo_ends_what_could_be_done_again(bench: Bench) -> None:
    bench.tune.edit("fast", "ctx_size", 8192)
    bench.tune.undo("fast")
    bench.tune.edit("fast", "ctx_size", 2048)
    assert not bench.tune.can_redo("fast")
    bench.tune.undo("fast")
    assert context(bench) == 4096


def test_that_one_drag_is_one_step(bench: Bench) -> None:
    tune, drag = bench.tune, object()
    for value in (5000, 6000, 7000):
        tune.edit("fast", "ctx_size", value, gesture=drag)
        bench.clock.now += 5  # held still for a while, and still the same drag
    tune.edit("fast", "ctx_size", 9000, gesture=object())
    tune.undo("fast")
    assert context(bench) == 7000
    tune.undo("fast")
    assert context(bench) == 4096


def test_that_edits_of_one_key_that_follow_each_other_closely_are_one_step(bench: Bench) -> None:
    tune = bench.tune
    for value in (5000, 6000, 7000):
        tune.edit("fast", "ctx_size", value)
        bench.clock.now += 0.9
    bench.clock.now += 0.2
    tune.edit("fast", "ctx_size", 8000)
    tune.edit("fast", "ubatch_size", 256)
    tune.edit("fast", "ctx_size", 9000)
    seen = []
    while tune.undo("fast"):
        seen.append((context(bench), tune.draft("fast").get("ubatch_size")))
    assert seen == [(8000, 256), (8000, None), (7000, None), (4096, None)]


def test_that_a_slider_that_came_back_leaves_nothing_to_undo(bench: Bench) -> None:
    drag = object()
    for value in (5000, 6000, 4096):
        bench.tune.edit("fast", "ctx_size", value, gesture=drag)
    assert not bench.tune.can_undo("fast")
    assert not bench.tune.is_changed("fast")


def test_that_an_edit_that_changes_nothing_is_no_step(bench: Bench) -> None:
    bench.tune.edit("fast", "ctx_size", 4096)
    assert not bench.tune.can_undo("fast")


def test_that_a_refused_value_leaves_everything_as_it_was(bench: Bench) -> None:
    with pytest.raises(ParameterError):
        bench.tune.edit("fast", "ctx_size", -5)
    assert not bench.tune.can_undo("fast")


def test_that_revert_can_be_undone(bench: Bench) -> None:
    bench.tune.edit("fast", "ctx_size", 8192)
    bench.tune.edit("fast", "ubatch_size", 256)
    bench.tune.revert("fast", "ctx_size")
    assert bench.tune.changed("fast") == ("ubatch_size",)
    bench.tune.revert("fast")
    assert bench.tune.changed("fast") == ()
    bench.tune.undo("fast")
    bench.tune.undo("fast")
    assert bench.tune.changed("fast") == ("ctx_size", "ubatch_size")


def test_that_undo_reaches_behind_a_save(bench: Bench) -> None:
    bench.tune.edit("fast", "ctx_size", 8192)
    run_async(bench.tune.save("fast"))
    assert not bench.tune.is_changed("fast")
    bench.tune.undo("fast")
    assert (context(bench), bench.tune.saved("fast").get("ctx_size")) == (4096, 8192)
    bench.tune.redo("fast")
    assert not bench.tune.is_changed("fast")


def test_that_undo_is_bounded() -> None:
    saved = LaunchProfile("fast")
    drafts = Drafts(steps=3)
    for number in range(10):
        drafts.put(saved, saved.with_value("ctx_size", 256 + number))
    steps = 0
    while drafts.undo("fast"):
        steps += 1
    assert steps == 3
    profile = drafts.get("fast")
    assert profile is not None
    assert profile.get("ctx_size") == 262


@given(st.lists(st.tuples(st.sampled_from(["ctx_size", "ubatch_size"]), st.integers(1, 4)), max_size=20))
def test_that_undo_takes_back_everything_and_redo_brings_it_again(edits: list[tuple[str, int]]) -> None:
    saved = LaunchProfile("fast", {"ctx_size": 1})
    drafts, present = Drafts(), saved
    for key, value in edits:
        present = present.with_value(key, value)
        drafts.put(saved, present, key=key)
    while drafts.undo("fast"):
        pass
    assert drafts.get("fast") is None
    while drafts.redo("fast"):
        pass
    assert (drafts.get("fast") or saved).values == present.values


# --------------------------------------------------------------------------------------------------- merging profiles


@given(profiles())
def test_that_a_profile_is_its_settings(profile: LaunchProfile) -> None:
    whole = LaunchProfile("fast", profile.values, profile.extra_arguments, {"CUDA_X": "1", "A.B": "2"})
    again = profile_of("fast", settings_of(whole))
    assert again == whole


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(profiles(), profiles(), profiles())
def test_that_merging_keeps_each_side_where_only_it_changed(
    base: LaunchProfile, ours: LaunchProfile, theirs: LaunchProfile
) -> None:
    merged, conflicts = merge_profiles(base, ours, theirs)
    old, one, other, new = map(settings_of, (base, ours, theirs, merged))
    for key in {*old, *one, *other, *new}:
        if one.get(key) == old.get(key):
            assert new.get(key) == other.get(key)
        else:
            assert new.get(key) == one.get(key)
    assert {conflict.key for conflict in conflicts} == {
        key
        for key in {*old, *one, *other}
        if one.get(key) != old.get(key) and other.get(key) != old.get(key) and one.get(key) != other.get(key)
    }
    assert merge_profiles(base, ours, base) == (ours, ())
    assert merge_profiles(base, base, theirs) == (theirs, ())


# -------------------------------------------------------------------------------------------------------- drafts.json


def test_that_edits_survive_a_crash(bench: Bench) -> None:
    async def edit_and_die() -> None:
        tune = bench.restart()
        await tune.open()
        tune.edit("fast", "ctx_size", 8192)
        tune.edit("fast", "tensor_split", (0.43, 0.57))
        await wait_until((bench.folder / "data" / "drafts.json").exists, what="drafts.json")
        for task in tune._tasks:  # what a crash does not do: end properly. Nothing is written any more
            task.cancel()

    async def come_back() -> None:
        tune = bench.restart()
        await tune.open()
        assert tune.changed("fast") == ("ctx_size", "tensor_split")
        assert tune.draft("fast").get("tensor_split") == (0.43, 0.57)
        assert bench.said(NoticeRaised) == []
        assert tune.undo("fast"), "the way back to what is saved is open"
        assert not tune.is_changed("fast")
        await tune.close()
        assert not (bench.folder / "data" / "drafts.json").exists()

    run_async(edit_and_die())
    run_async(come_back())


def edited_then_closed(bench: Bench, key: str = "ctx_size", value: int = 8192) -> None:
    async def scenario() -> None:
        tune = bench.restart()
        await tune.open()
        tune.edit("fast", key, value)
        await tune.close()

    run_async(scenario())


def reopened(bench: Bench) -> None:
    async def scenario() -> None:
        tune = bench.restart()
        await tune.open()
        await tune.close()

    run_async(scenario())


def test_that_a_tier_that_was_changed_meanwhile_keeps_the_draft_and_says_so(bench: Bench) -> None:
    edited_then_closed(bench)
    bench.edit_outside("fast", ctx_size=1024, ubatch_size=128)
    reopened(bench)
    draft = bench.tune.draft("fast")
    assert (draft.get("ctx_size"), draft.get("ubatch_size")) == (8192, 128)
    (notice,) = bench.said(NoticeRaised)
    assert "fast" in notice.text.english
    assert "ctx_size" in notice.text.english


def test_that_another_catalog_in_the_same_data_folder_has_drafts_of_its_own(bench: Bench) -> None:
    edited_then_closed(bench)
    first, content = bench.catalog, bench.catalog.read_bytes()
    bench.catalog = bench.folder / "other.json"
    bench.catalog.write_bytes(content)
    edited_then_closed(bench, "ubatch_size", 64)
    reopened(bench)
    assert bench.tune.changed("fast") == ("ubatch_size",)
    bench.catalog = first
    reopened(bench)
    assert bench.tune.changed("fast") == ("ctx_size",)


def draft_of(value: int) -> dict[str, Draft]:
    return {"fast": Draft(LaunchProfile("fast"), LaunchProfile("fast", {"ctx_size": value}))}


def test_that_two_who_write_one_file_for_two_catalogs_keep_each_others_drafts(tmp_path: Path) -> None:
    path = tmp_path / "drafts.json"
    one, other = DraftFile(path, tmp_path / "one.json"), DraftFile(path, tmp_path / "other.json")
    assert one.read() == other.read() == ({}, ())
    one.write(draft_of(512))
    other.write(draft_of(1024))
    assert DraftFile(path, tmp_path / "one.json").read()[0] == draft_of(512)
    assert DraftFile(path, tmp_path / "other.json").read()[0] == draft_of(1024)
    one.write({})
    assert DraftFile(path, tmp_path / "other.json").read()[0] == draft_of(1024), "the first knew nothing of it"
    other.write({})
    assert not path.exists()


def test_that_what_a_later_version_adds_to_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "drafts.json"
    path.write_text('{"schema": 1, "catalogs": {}, "added": [1]}')
    DraftFile(path, tmp_path / "one.json").write(draft_of(512))
    assert json.loads(path.read_text())["added"] == [1]


def test_that_half_a_character_does_not_cost_the_drafts(tmp_path: Path) -> None:
    path = tmp_path / "drafts.json"
    half = LaunchProfile("fast", {"ctx_size": 512}, ("--grammar", "demo \ud83d"))
    DraftFile(path, tmp_path / "one.json").write({"fast": Draft(LaunchProfile("fast"), half)})
    (draft,) = DraftFile(path, tmp_path / "one.json").read()[0].values()
    assert draft.profile.extra_arguments == ("--grammar", "demo ?")


def test_that_every_spelling_of_a_catalogs_path_finds_its_drafts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, catalog, link = tmp_path / "drafts.json", tmp_path / "one.json", tmp_path / "link.json"
    catalog.touch()
    link.symlink_to(catalog)
    monkeypatch.chdir(tmp_path)
    spellings = (link, Path("one.json"), tmp_path / "sub" / ".." / "one.json", catalog)
    for number, spelling in enumerate(spellings):
        DraftFile(path, spelling).write(draft_of(number))
        assert [DraftFile(path, other).read()[0] for other in spellings] == [draft_of(number)] * len(spellings)


def test_that_drafts_that_were_kept_under_a_link_are_found_and_kept_once(tmp_path: Path) -> None:
    path, catalog, link = tmp_path / "drafts.json", tmp_path / "one.json", tmp_path / "link.json"
    catalog.touch()
    link.symlink_to(catalog)
    DraftFile(path, catalog).write(draft_of(512))
    document = json.loads(path.read_text())
    document["catalogs"] = {str(link): document["catalogs"][str(catalog)], "/else.json": {}}
    path.write_text(json.dumps(document))
    assert DraftFile(path, catalog).read()[0] == draft_of(512)
    DraftFile(path, catalog).write(draft_of(1024))
    assert list(json.loads(path.read_text())["catalogs"]) == ["/else.json", str(catalog)]


def test_that_the_draft_of_a_tier_that_is_gone_is_kept_until_it_comes_back(bench: Bench) -> None:
    edited_then_closed(bench)
    whole = bench.read()
    bench.write({**whole, "tiers": whole["tiers"][1:]})
    reopened(bench)
    reopened(bench)
    bench.write(whole)
    reopened(bench)
    assert bench.tune.changed("fast") == ("ctx_size",)


def test_that_a_catalog_that_cannot_be_read_does_not_cost_the_edits(bench: Bench) -> None:
    edited_then_closed(bench)
    good = bench.catalog.read_bytes()
    bench.catalog.write_bytes(good[:40])
    reopened(bench)
    assert bench.tune.catalog_error is not None
    bench.catalog.write_bytes(good)
    run_async(bench.tune.load())
    assert bench.tune.changed("fast") == ("ctx_size",)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": 1, "catalogs": {"x": {"fast": 3}}}', b"\xff"])
def test_that_a_damaged_file_of_drafts_is_set_aside_and_said(
    bench: Bench, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = bench.folder / "data" / "drafts.json"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        reopened(bench)
    assert path.with_name("drafts.json.unreadable").read_bytes() == content
    assert len(bench.said(NoticeRaised)) == 1
    assert not bench.tune.is_changed("fast")


def test_that_no_damaged_file_of_drafts_takes_the_place_of_an_earlier_one(bench: Bench) -> None:
    path = bench.folder / "data" / "drafts.json"
    for content in (b"{one", b"{two", b"{three"):
        path.write_bytes(content)
        reopened(bench)
    kept = [path.with_name(f"drafts.json.unreadable{number}").read_bytes() for number in ("", "-2", "-3")]
    assert kept == [b"{one", b"{two", b"{three"]
    assert "drafts.json.unreadable-3" in bench.said(NoticeRaised)[-1].text.english


def test_that_damaged_drafts_that_cannot_be_set_aside_are_never_written_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bench.folder / "data" / "drafts.json"
    path.write_bytes(b"{somebody's work")

    def refused(asked: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied", str(asked), None, str(target))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refused)
        edited_then_closed(bench)
    assert path.read_bytes() == b"{somebody's work"
    assert [one.name for one in path.parent.glob("drafts.json*")] == ["drafts.json"]
    (notice,) = bench.said(NoticeRaised)
    assert str(path) in notice.text.english
    assert "Permission denied" in notice.text.english


def test_that_the_drafts_of_a_newer_variet_are_refused_by_name_and_never_overwritten(bench: Bench) -> None:
    path = bench.folder / "data" / "drafts.json"
    path.write_text('{"schema": 2, "drafts": "in another shape"}')
    edited_then_closed(bench)
    assert path.read_text() == '{"schema": 2, "drafts": "in another shape"}'
    (notice,) = bench.said(NoticeRaised)
    assert str(path) in notice.text.english


def test_that_drafts_that_the_system_refuses_to_read_are_named_and_never_overwritten(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bench.folder / "data" / "drafts.json"
    path.write_text("somebody's work")
    read = Path.read_bytes

    def refused(asked: Path) -> bytes:
        if asked == path:
            raise PermissionError(13, "Permission denied", str(path))
        return read(asked)

    monkeypatch.setattr(Path, "read_bytes", refused)
    edited_then_closed(bench)
    assert path.read_text() == "somebody's work"
    (notice,) = bench.said(NoticeRaised)
    assert str(path) in notice.text.english


def test_that_a_value_that_is_no_longer_allowed_is_left_out_and_named(bench: Bench) -> None:
    edited_then_closed(bench)
    path = bench.folder / "data" / "drafts.json"
    document = json.loads(path.read_text())
    stored = document["catalogs"][str(bench.catalog)]["fast"]["draft"]["parameters"]
    stored.update({"ubatch_size": -7, "no_such_flag": 1})
    path.write_text(json.dumps(document))
    reopened(bench)
    assert bench.tune.changed("fast") == ("ctx_size",)
    texts = [notice.text.english for notice in bench.said(NoticeRaised)]
    assert len(texts) == 2
    assert any("ubatch_size" in text for text in texts)
    assert any("no_such_flag" in text for text in texts)


def test_that_a_disk_that_refuses_the_drafts_is_said_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("variet_gui.panel.workspace.WRITE_EVERY_S", 0.01)
    tries = 0

    def full(self: DraftFile, drafts: dict[str, Draft]) -> None:
        nonlocal tries
        tries += 1
        raise OSError(28, "No space left on device")

    async def scenario() -> None:
        tune = bench.restart()
        await tune.open()
        monkeypatch.setattr(DraftFile, "write", full)
        tune.edit("fast", "ctx_size", 8192)
        await wait_until(lambda: tries > 3)
        assert len(bench.said(NoticeRaised)) == 1
        monkeypatch.undo()
        await tune.close()

    run_async(scenario())
    assert (bench.folder / "data" / "drafts.json").exists()


def test_that_the_terminal_neither_reads_nor_writes_drafts(bench: Bench) -> None:
    edited_then_closed(bench)
    path = bench.folder / "data" / "drafts.json"
    content = path.read_bytes()

    async def scenario() -> None:
        tune = bench.restart()
        await tune.load()
        assert not tune.is_changed("fast")
        await tune.close()

    run_async(scenario())
    assert path.read_bytes() == content
