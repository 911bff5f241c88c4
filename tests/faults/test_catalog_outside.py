"""Somebody else writes the catalog file while it is being edited here."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.tuning import Bench
from tests.support.waiting import run_async, wait_until
from variet_gui.catalog.differences import Change
from variet_gui.catalog.store import CatalogChangedOutside, CatalogError
from variet_gui.events import CatalogFileChanged
from variet_gui.panel.outside import OutsideChange
from variet_gui.panel.tune import Tune


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    run_async(bench.tune.load())
    return bench


def look(bench: Bench) -> OutsideChange | None:
    return run_async(bench.tune.outside.check())


def told(bench: Bench) -> CatalogFileChanged:
    (event,) = bench.said(CatalogFileChanged)
    assert isinstance(event, CatalogFileChanged)
    return event


def value(tune: Tune, key: str, role: str = "fast") -> Any:
    return tune.draft(role).get(key)


def test_that_a_change_is_noticed_by_itself_and_told_once(bench: Bench) -> None:
    async def scenario() -> None:
        tune = bench.restart()
        await tune.load()
        task = asyncio.create_task(tune.outside.watch(interval_s=0.01))
        try:
            bench.edit_outside("fast", ctx_size=1024)
            await wait_until(lambda: bool(bench.said(CatalogFileChanged)))
            looks = tune.outside.change
            assert looks is not None
            for _ in range(5):
                assert await tune.outside.check() is looks
        finally:
            task.cancel()

    run_async(scenario())
    event = told(bench)
    assert (event.roles, event.conflicts, event.usable) == (("fast",), 0, True)
    assert "fast" in event.text.english
    assert str(bench.catalog) in event.text.english


def test_that_our_own_saves_and_mere_touches_are_no_change(bench: Bench) -> None:
    assert look(bench) is None
    bench.tune.edit("fast", "ctx_size", 8192)
    run_async(bench.tune.save("fast"))
    assert look(bench) is None
    os.utime(bench.catalog, (1, 1))
    assert look(bench) is None
    bench.catalog.unlink()
    assert look(bench) is None
    assert bench.said(CatalogFileChanged) == []


def test_that_it_is_told_setting_by_setting_with_what_collides(bench: Bench) -> None:
    bench.tune.edit("fast", "ctx_size", 8192)
    bench.tune.edit("fast", "ubatch_size", 64)
    bench.tune.edit("ultra", "ctx_size", 99)
    bench.edit_outside("fast", ctx_size=1024, batch_size=512)
    change = look(bench)
    assert change is not None
    assert change.changed == (
        ("fast", Change(key="batch_size", before=None, after=512)),
        ("fast", Change(key="ctx_size", before=4096, after=1024)),
    )
    (conflict,) = change.conflicts
    assert (conflict.role, conflict.key) == ("fast", "ctx_size")
    assert (conflict.base, conflict.ours, conflict.theirs) == (4096, 8192, 1024)
    assert value(bench.tune, "ctx_size") == 8192, "nothing was taken over unasked"
    assert bench.tune.saved("fast").get("batch_size") is None


def test_that_the_same_edit_on_both_sides_is_no_conflict(bench: Bench) -> None:
    bench.tune.edit("fast", "ctx_size", 1024)
    bench.edit_outside("fast", ctx_size=1024)
    change = look(bench)
    assert change is not None
    assert change.conflicts == ()
    run_async(bench.tune.outside.merge())
    assert not bench.tune.is_changed("fast")
    assert not bench.tune.undo("fast"), "no step that changes nothing"


def test_that_merging_keeps_both_and_our_edit_where_they_collide(bench: Bench) -> None:
    bench.tune.edit("fast", "ctx_size", 8192)
    bench.tune.edit("fast", "ubatch_size", 64)
    bench.edit_outside("fast", ctx_size=1024, batch_size=512)
    look(bench)
    conflicts = run_async(bench.tune.outside.merge())
    tune = bench.tune
    assert [conflict.key for conflict in conflicts] == ["ctx_size"]
    assert (value(tune, "ctx_size"), value(tune, "ubatch_size"), value(tune, "batch_size")) == (8192, 64, 512)
    assert tune.changed("fast") == ("ctx_size", "ubatch_size")
    assert tune.outside.change is None
    run_async(tune.save("fast"))
    stored = bench.read()["tiers"][0]["parameters"]
    assert stored == {"ctx_size": 8192, "ubatch_size": 64, "batch_size": 512}


def test_that_merging_takes_theirs_where_that_was_chosen_and_undo_has_ours(bench: Bench) -> None:
    bench.tune.edit("fast", "ctx_size", 8192)
    bench.tune.edit("fast", "ubatch_size", 64)
    bench.edit_outside("fast", ctx_size=1024, ubatch_size=None)
    run_async(bench.tune.outside.merge(theirs=[("fast", "ctx_size")]))
    assert (value(bench.tune, "ctx_size"), value(bench.tune, "ubatch_size")) == (1024, 64)
    bench.tune.undo("fast")
    assert value(bench.tune, "ctx_size") == 8192


def test_that_undo_after_a_merge_does_not_undo_what_the_other_wrote(bench: Bench) -> None:
    bench.tune.edit("fast", "ubatch_size", 64)
    bench.tune.edit("fast", "batch_size", 128)
    bench.edit_outside("fast", ctx_size=1024)
    run_async(bench.tune.outside.merge())
    bench.tune.undo("fast")
    bench.tune.undo("fast")
    assert dict(bench.tune.draft("fast").values) == {"ctx_size": 1024}
    assert not bench.tune.is_changed("fast")


def test_that_accepting_theirs_drops_edits_where_they_changed_the_tier_and_undo_has_them(bench: Bench) -> None:
    bench.tune.edit("fast", "ctx_size", 8192)
    bench.tune.edit("ultra", "ubatch_size", 64)
    bench.edit_outside("fast", ctx_size=1024)
    run_async(bench.tune.outside.accept_theirs())
    assert not bench.tune.is_changed("fast")
    assert value(bench.tune, "ctx_size") == 1024
    assert bench.tune.changed("ultra") == ("ubatch_size",), "a tier that they left alone keeps its edits"
    bench.tune.undo("fast")
    assert value(bench.tune, "ctx_size") == 8192
    assert look(bench) is None


def test_that_keeping_ours_overwrites_the_file_and_keeps_theirs_beside(bench: Bench) -> None:
    ours = bench.read()
    bench.tune.edit("fast", "ubatch_size", 64)
    bench.edit_outside("fast", ctx_size=1024)
    theirs = bench.catalog.read_bytes()
    look(bench)
    aside = run_async(bench.tune.outside.keep_ours())
    assert aside is not None
    assert aside.read_bytes() == theirs
    assert bench.read() == ours
    assert bench.tune.changed("fast") == ("ubatch_size",)
    assert look(bench) is None
    states = [(r.kind, r.profile.get("ctx_size")) for r in run_async(bench.tune.history.list("fast"))]
    assert states == [("saved", 4096), ("found", 1024)], "what was overwritten can be brought back"


def test_that_a_save_over_a_changed_file_is_refused_keeps_the_draft_and_offers_the_merge(bench: Bench) -> None:
    bench.tune.edit("fast", "ubatch_size", 64)
    bench.edit_outside("fast", ctx_size=1024)
    theirs = bench.catalog.read_bytes()
    with pytest.raises(CatalogChangedOutside):
        run_async(bench.tune.save("fast"))
    assert bench.catalog.read_bytes() == theirs
    assert bench.tune.changed("fast") == ("ubatch_size",)
    assert told(bench).roles == ("fast",)
    run_async(bench.tune.outside.merge())
    run_async(bench.tune.save("fast"))
    assert bench.read()["tiers"][0]["parameters"] == {"ctx_size": 1024, "ubatch_size": 64}


def test_that_tiers_that_come_and_go_are_told_and_the_edits_of_a_lost_one_wait(bench: Bench) -> None:
    bench.tune.edit("ultra", "ctx_size", 99)
    whole = bench.read()
    new = {"role": "tiny", "model_name": "T", "port": 8090}
    bench.write({**whole, "tiers": [whole["tiers"][0], new]})
    change = look(bench)
    assert change is not None
    assert (change.added, change.removed, change.roles) == (("tiny",), ("ultra",), ("tiny", "ultra"))
    run_async(bench.tune.outside.merge())
    assert bench.tune.catalog is not None
    assert bench.tune.catalog.roles == ("fast", "tiny")
    bench.write(whole)
    run_async(bench.tune.outside.accept_theirs())
    assert bench.tune.changed("ultra") == ("ctx_size",)


def test_that_a_half_written_file_is_looked_at_again_before_it_is_told(bench: Bench) -> None:
    whole = bench.catalog.read_text()
    bench.catalog.write_text(whole[: len(whole) // 2])
    assert look(bench) is None
    bench.catalog.write_text(whole.replace("4096", "1024"))
    change = look(bench)
    assert change is not None
    assert change.problem is None
    assert told(bench).usable


def test_that_a_file_that_stays_broken_is_told_and_never_taken(bench: Bench) -> None:
    bench.tune.edit("fast", "ubatch_size", 64)
    ours = bench.read()
    bench.catalog.write_text("{ not json")
    look(bench)
    change = look(bench)
    assert change is not None
    assert change.problem is not None
    assert not change.is_newer
    assert not told(bench).usable
    assert str(bench.catalog) in told(bench).text.english
    for take in (bench.tune.outside.accept_theirs, bench.tune.outside.merge):
        with pytest.raises(CatalogError):
            run_async(take())
    assert bench.tune.catalog is not None
    assert bench.catalog.read_text() == "{ not json"
    assert bench.tune.changed("fast") == ("ubatch_size",)
    aside = run_async(bench.tune.outside.keep_ours())
    assert aside is not None
    assert aside.read_text() == "{ not json"
    assert bench.read() == ours


def test_that_a_file_of_a_newer_variet_is_refused_by_name_and_never_overwritten(bench: Bench) -> None:
    bench.write({**bench.read(), "schema": 2})
    content = bench.catalog.read_bytes()
    look(bench)
    change = look(bench)
    assert change is not None
    assert change.is_newer
    assert "newer Variet" in told(bench).text.english
    with pytest.raises(CatalogError) as refused:
        run_async(bench.tune.outside.keep_ours())
    assert "newer Variet" in refused.value.message.english
    assert bench.catalog.read_bytes() == content
    assert list(bench.folder.glob("*.replaced-*")) == []


def test_that_a_repaired_catalog_is_taken_by_itself(bench: Bench) -> None:
    good = bench.catalog.read_bytes()
    bench.catalog.write_text("{")
    run_async(bench.restart().load())
    assert bench.tune.catalog is None
    look(bench)
    assert bench.tune.catalog is None
    bench.catalog.write_bytes(good)
    look(bench)
    assert bench.tune.catalog is not None
    assert bench.tune.catalog_error is None


def test_that_several_overwritten_files_are_all_kept(bench: Bench) -> None:
    for size in (1, 2, 3):
        bench.edit_outside("fast", ctx_size=size)
        run_async(bench.tune.outside.keep_ours())
    kept = sorted(bench.folder.glob("catalog.json.replaced-*"))
    assert [json.loads(path.read_text())["tiers"][0]["parameters"]["ctx_size"] for path in kept] == [1, 2, 3]


def test_that_a_revision_that_cannot_be_kept_does_not_stop_the_save(bench: Bench) -> None:
    (bench.folder / "data" / "revisions").write_text("a file where the folder should be")
    bench.tune.edit("fast", "ctx_size", 8192)
    run_async(bench.tune.save("fast"))
    assert bench.read()["tiers"][0]["parameters"]["ctx_size"] == 8192
    assert not bench.tune.is_changed("fast")
