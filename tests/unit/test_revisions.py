"""Every Save can be looked at, compared and brought back."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.tuning import Bench
from tests.support.waiting import run_async
from variet_gui.catalog.differences import Change
from variet_gui.catalog.revisions import CURRENT, RevisionNotFound, RevisionStore
from variet_gui.catalog.tiers import Tier, Variant


def tier(role: str = "fast", **parameters: object) -> Tier:
    return Tier.model_validate({"role": role, "model_name": "M", "port": 8081, "parameters": parameters})


@pytest.fixture
def store(tmp_path: Path) -> RevisionStore:
    return RevisionStore(tmp_path / "revisions", tmp_path / "catalog.json")


def test_that_the_first_save_also_keeps_what_was_there_before(store: RevisionStore) -> None:
    saved = store.record(tier(ctx_size=4096), tier(ctx_size=8192), note="more context")
    assert saved is not None
    assert saved.changes == (Change(key="ctx_size", before=4096, after=8192),)
    newest, first = store.list("fast")
    assert newest == saved
    assert (newest.kind, newest.note) == ("saved", "more context")
    assert (first.kind, first.changes, first.profile.get("ctx_size")) == ("found", (), 4096)


def test_that_a_save_without_a_change_makes_no_revision(store: RevisionStore) -> None:
    assert store.record(tier(ctx_size=4096), tier(ctx_size=4096)) is None
    assert store.list("fast") == ()


def test_that_what_somebody_else_wrote_between_two_saves_is_kept(store: RevisionStore) -> None:
    store.record(tier(ctx_size=1024), tier(ctx_size=2048))
    store.record(tier(ctx_size=3000), tier(ctx_size=4096))
    states = [(revision.kind, revision.profile.get("ctx_size")) for revision in store.list("fast")]
    assert states == [("saved", 4096), ("found", 3000), ("saved", 2048), ("found", 1024)]
    assert store.list("fast")[1].changes == (Change(key="ctx_size", before=2048, after=3000),)


def test_that_any_two_can_be_compared_and_each_with_the_present(store: RevisionStore) -> None:
    store.record(tier(ctx_size=1024), tier(ctx_size=2048, tensor_split=[0.43, 0.57]))
    newest, first = store.list("fast")
    assert store.diff(first.id, newest.id) == (
        Change(key="ctx_size", before=1024, after=2048),
        Change(key="tensor_split", before=None, after=[0.43, 0.57]),
    )
    now = tier(ctx_size=1024, no_host=True).model_copy(update={"port": 9000, "environment": {"CUDA_X": "1"}})
    assert store.diff(first.id, CURRENT, now) == (
        Change(key="environment.CUDA_X", before=None, after="1"),
        Change(key="no_host", before=None, after=True),
        Change(key="port", before=8081, after=9000),
    )
    assert store.diff(CURRENT, CURRENT, now) == ()


def test_that_a_variant_is_part_of_the_whole_tier(store: RevisionStore) -> None:
    variant = Variant(parameters={"ctx_size": 512})
    saved = store.record(tier(), tier().model_copy(update={"variants": {"demo day": variant}}))
    assert saved is not None
    assert [change.key for change in saved.changes] == ["variants.demo day"]
    assert store.list("fast")[0].tier.variants == {"demo day": variant}


def test_that_rolling_back_gives_the_launch_profile(store: RevisionStore) -> None:
    before = tier(ctx_size=1024, tensor_split=[1, 2]).model_copy(update={"extra_arguments": ["--grammar", "x"]})
    store.record(before, tier(ctx_size=2048))
    profile = store.roll_back(store.list("fast")[1].id)
    assert dict(profile.values) == {"ctx_size": 1024, "tensor_split": (1, 2)}
    assert profile.extra_arguments == ("--grammar", "x")


def test_that_the_last_fifty_are_kept_and_all_that_are_known_good(tmp_path: Path) -> None:
    store = RevisionStore(tmp_path / "revisions", tmp_path / "catalog.json", kept=5)
    store.record(tier(ctx_size=256), tier(ctx_size=257))
    good = store.mark_known_good(store.list("fast")[1].id)
    store.record(tier("ultra", ctx_size=1), tier("ultra", ctx_size=2))
    for size in range(257, 270):
        store.record(tier(ctx_size=size), tier(ctx_size=size + 1))
    kept = store.list("fast")
    assert [revision.profile.get("ctx_size") for revision in kept] == [270, 269, 268, 267, 266, 256]
    assert kept[-1] == good
    assert len(store.list("ultra")) == 2, "another tier's history is not pushed out"
    store.mark_known_good(good.id, False)
    store.record(tier(ctx_size=270), tier(ctx_size=271))
    assert good.id not in [revision.id for revision in store.list("fast")]


def test_that_the_order_does_not_hang_on_the_clock(tmp_path: Path) -> None:
    times = iter([datetime(2026, 5, 3, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)])
    store = RevisionStore(tmp_path / "revisions", tmp_path / "catalog.json", now=lambda: next(times))
    store.record(tier(ctx_size=1), tier(ctx_size=2))
    store.record(tier(ctx_size=2), tier(ctx_size=3))
    assert [revision.profile.get("ctx_size") for revision in store.list("fast")] == [3, 2, 1]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": 1}', b"\xff\xfe", b'{"schema": 1, "id": 3}'])
def test_that_a_damaged_file_is_set_aside_and_never_in_the_way(
    store: RevisionStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    store.record(tier(ctx_size=1), tier(ctx_size=2))
    newest, first = store.list("fast")
    damaged = tmp_path / "revisions" / f"{first.id}.json"
    damaged.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert store.list("fast") == (newest,)
    assert first.id in caplog.text
    assert damaged.with_name(damaged.name + ".unreadable").read_bytes() == content
    with pytest.raises(RevisionNotFound) as missing:
        store.get(first.id)
    assert first.id in str(missing.value.message)
    assert store.record(tier(ctx_size=2), tier(ctx_size=3)) is not None


def test_that_no_damaged_revision_takes_the_place_of_an_earlier_one(store: RevisionStore, tmp_path: Path) -> None:
    store.record(tier(ctx_size=1), tier(ctx_size=2))
    newest = tmp_path / "revisions" / f"{store.list('fast')[0].id}.json"
    for content in (b"{one", b"{two", b"{three"):
        newest.write_bytes(content)
        assert len(store.list("fast")) == 1
    kept = [newest.with_name(f"{newest.name}.unreadable{number}").read_bytes() for number in ("", "-2", "-3")]
    assert kept == [b"{one", b"{two", b"{three"]


def test_that_the_number_of_a_damaged_revision_is_not_given_out_again(store: RevisionStore, tmp_path: Path) -> None:
    store.record(tier(ctx_size=1), tier(ctx_size=2))
    (tmp_path / "revisions" / "000002-fast.json").write_bytes(b"{")
    saved = store.record(tier(ctx_size=2), tier(ctx_size=3))
    assert saved is not None
    assert [revision.id for revision in store.list("fast")] == ["000004-fast", "000003-fast", "000001-fast"]


def test_that_every_spelling_of_a_catalogs_path_shares_one_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, catalog, link = tmp_path / "revisions", tmp_path / "catalog.json", tmp_path / "link.json"
    catalog.touch()
    link.symlink_to(catalog)
    monkeypatch.chdir(tmp_path)
    spellings = (catalog, link, Path("catalog.json"), tmp_path / "sub" / ".." / "catalog.json")
    for number, spelling in enumerate(spellings, start=1):
        RevisionStore(folder, spelling).record(tier(ctx_size=number), tier(ctx_size=number + 1))
    for spelling in spellings:
        history = RevisionStore(folder, spelling).list("fast")
        assert [revision.profile.get("ctx_size") for revision in history] == [5, 4, 3, 2, 1]
        assert RevisionStore(folder, spelling).get(history[0].id) == history[0]


def test_that_a_history_that_was_kept_under_a_link_is_still_found(tmp_path: Path) -> None:
    folder, catalog, link = tmp_path / "revisions", tmp_path / "catalog.json", tmp_path / "link.json"
    catalog.touch()
    link.symlink_to(catalog)
    RevisionStore(folder, catalog).record(tier(ctx_size=1), tier(ctx_size=2))
    for path in folder.iterdir():  # as versions did that wrote the path down as it was given
        path.write_text(json.dumps({**json.loads(path.read_text()), "catalog": str(link)}))
    assert len(RevisionStore(folder, catalog).list("fast")) == 2
    assert len(RevisionStore(folder, link).list("fast")) == 2
    link.unlink()
    assert len(RevisionStore(folder, link).list("fast")) == 2, "by the name itself, wherever it leads"
    assert RevisionStore(folder, tmp_path / "other.json").list("fast") == ()


def test_that_the_revision_of_a_newer_variet_is_left_alone(store: RevisionStore, tmp_path: Path) -> None:
    store.record(tier(ctx_size=1), tier(ctx_size=2))
    newest, first = store.list("fast")
    path = tmp_path / "revisions" / f"{first.id}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))
    content = path.read_bytes()
    assert store.list("fast") == (newest,)
    assert path.read_bytes() == content


def test_that_two_catalogs_in_one_data_folder_do_not_mix(tmp_path: Path) -> None:
    one = RevisionStore(tmp_path / "revisions", tmp_path / "one.json")
    other = RevisionStore(tmp_path / "revisions", tmp_path / "other.json")
    saved = one.record(tier(ctx_size=1), tier(ctx_size=2))
    assert saved is not None
    assert other.list("fast") == ()
    with pytest.raises(RevisionNotFound):
        other.roll_back(saved.id)


@pytest.mark.parametrize("revision_id", ["", "../../secret", "000009-fast", "nonsense", CURRENT])
def test_that_an_id_that_is_none_is_refused(store: RevisionStore, revision_id: str) -> None:
    with pytest.raises(RevisionNotFound):
        store.diff(revision_id, revision_id)


def test_that_half_a_character_in_the_note_does_not_cost_the_revision(store: RevisionStore) -> None:
    saved = store.record(tier(ctx_size=1), tier(ctx_size=2), note="demo \ud83d day")
    assert saved is not None
    assert store.list("fast")[0].note == "demo ? day"


def test_that_rolling_back_writes_the_file_and_makes_a_revision(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def scenario() -> None:
        tune = bench.tune
        await tune.load()
        tune.edit("fast", "ctx_size", 8192)
        await tune.save("fast", note="bigger")
        _, first = await tune.history.list("fast")
        await tune.history.mark_known_good(first.id)
        tune.edit("fast", "ubatch_size", 64)
        assert [change.key for change in await tune.history.diff("fast", first.id)] == ["ctx_size", "ubatch_size"]
        assert await tune.history.roll_back("fast", first.id) == ()
        newest, saved, again = await tune.history.list("fast")
        assert (newest.kind, newest.rolled_back_to, saved.note) == ("rolled_back", first.id, "bigger")
        assert again.known_good
        tune.undo("fast")
        assert tune.changed("fast") == ("ctx_size", "ubatch_size"), "what was being edited is not lost"

    run_async(scenario())
    assert bench.read()["tiers"][0]["parameters"] == {"ctx_size": 4096}
