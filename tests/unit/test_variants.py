"""Named variants of a tier, in the catalog file and in the draft."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.tuning import Bench
from tests.support.waiting import run_async
from variet_gui.catalog.store import CatalogError, CatalogStore
from variet_gui.events import CatalogChanged
from variet_gui.panel.variants import VariantRefused

LONG = {"parameters": {"ctx_size": 262144, "cache_type_k": "Q8_0"}, "note": "for the novel", "of_tomorrow": [1]}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, variants={"long context": LONG})
    run_async(bench.tune.load())
    return bench


def test_that_variants_come_from_the_file_in_their_order(bench: Bench) -> None:
    variants = bench.tune.variants.list("fast")
    assert list(variants) == ["long context"]
    assert variants["long context"].note == "for the novel"
    assert variants["long context"].parameters["cache_type_k"] == "q8_0", "checked and in its normal form"
    assert bench.tune.variants.list("ultra") == {}


def test_that_the_draft_is_kept_under_a_name_with_everything_else_untouched(bench: Bench) -> None:
    bench.tune.edit("fast", "tensor_split", (0.43, 0.57))
    before = bench.read()
    run_async(bench.tune.variants.save_as("fast", "demo day", "two cards"))
    after = bench.read()
    stored = after["tiers"][0]["variants"].pop("demo day")
    assert stored == {
        "parameters": {"ctx_size": 4096, "tensor_split": [0.43, 0.57]},
        "extra_arguments": [],
        "environment": {},
        "note": "two cards",
    }
    before["tiers"][0]["variants"]["long context"]["parameters"]["cache_type_k"] = "q8_0"
    assert after == before
    assert bench.tune.changed("fast") == ("tensor_split",), "the draft stays a draft"
    assert bench.said(CatalogChanged)


def test_that_a_variant_is_loaded_into_the_draft_as_one_step(bench: Bench) -> None:
    content = bench.catalog.read_bytes()
    bench.tune.edit("fast", "ubatch_size", 64)
    bench.tune.variants.load("fast", "long context")
    assert dict(bench.tune.draft("fast").values) == {"ctx_size": 262144, "cache_type_k": "q8_0"}
    bench.tune.undo("fast")
    assert bench.tune.changed("fast") == ("ubatch_size",)
    assert bench.catalog.read_bytes() == content


def test_that_a_variant_is_renamed_in_its_place_and_deleted(bench: Bench) -> None:
    async def scenario() -> None:
        variants = bench.tune.variants
        await variants.save_as("fast", "demo day")
        await variants.rename("fast", "long context", "novel")
        assert list(variants.list("fast")) == ["novel", "demo day"]
        await variants.delete("fast", "demo day")
        await variants.delete("fast", "novel")

    run_async(scenario())
    assert bench.read()["tiers"][0].get("variants") == {}


def test_that_keys_of_a_newer_version_inside_a_variant_survive(bench: Bench) -> None:
    run_async(bench.tune.variants.rename("fast", "long context", "novel"))
    assert bench.read()["tiers"][0]["variants"]["novel"]["of_tomorrow"] == [1]


def test_that_names_that_are_taken_or_not_there_are_refused(bench: Bench) -> None:
    variants = bench.tune.variants
    run_async(variants.save_as("fast", "demo day"))
    content = bench.catalog.read_bytes()
    for attempt, named in [
        (lambda: variants.save_as("fast", "demo day"), "demo day"),
        (lambda: variants.rename("fast", "demo day", "long context"), "long context"),
        (lambda: variants.rename("fast", "nope", "x"), "nope"),
        (lambda: variants.delete("fast", "nope"), "nope"),
    ]:
        with pytest.raises(VariantRefused) as refused:
            run_async(attempt())
        assert named in refused.value.message.english
    with pytest.raises(VariantRefused):
        variants.load("fast", "nope")
    assert bench.catalog.read_bytes() == content
    run_async(variants.save_as("fast", "demo day", "again", replace=True))
    assert variants.list("fast")["demo day"].note == "again"


@pytest.mark.parametrize("name", ["", " ", " demo", "demo ", "demo\nday", "x" * 65, "\x1b[31m"])
def test_that_a_name_that_is_no_name_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(VariantRefused) as refused:
        run_async(bench.tune.variants.save_as("fast", name))
    assert "64" in refused.value.message.english


def test_that_a_change_of_variants_makes_a_revision(bench: Bench) -> None:
    async def scenario() -> None:
        await bench.tune.variants.save_as("fast", "demo day")
        newest, *_ = await bench.tune.history.list("fast")
        assert [change.key for change in newest.changes] == ["variants.demo day"]

    run_async(scenario())


@pytest.mark.parametrize(
    ("variant", "where"),
    [
        ({"parameters": {"ctx_size": "lots"}}, 'tiers[0].variants["long context"].parameters.ctx_size'),
        ({"parameters": {"ctx_size": None}}, 'tiers[0].variants["long context"].parameters.ctx_size'),
        ({"parameters": {"ctx_sise": 1}}, 'tiers[0].variants["long context"].parameters.ctx_sise'),
        ({"extra_arguments": [""]}, 'tiers[0].variants["long context"].extra_arguments[0]'),
        ({"environment": {"A=B": "1"}}, 'tiers[0].variants["long context"].environment["A=B"]'),
        ({"environment": 3}, 'tiers[0].variants["long context"].environment'),
        (3, 'tiers[0].variants["long context"]'),
    ],
)
def test_that_a_bad_variant_is_refused_with_its_place_and_the_file_stays(
    tmp_path: Path, variant: Any, where: str
) -> None:
    bench = Bench(tmp_path, variants={"long context": variant})
    content = bench.catalog.read_bytes()
    with pytest.raises(CatalogError) as refused:
        CatalogStore(bench.catalog, bench.catalog).load()
    assert refused.value.where == where
    assert bench.catalog.read_bytes() == content


@pytest.mark.parametrize("name", ["parameters", " x", "two\nlines"])
def test_that_odd_names_in_the_file_are_told_apart(tmp_path: Path, name: str) -> None:
    bench = Bench(tmp_path, variants={name: {"parameters": {"ctx_size": 1 if name == "parameters" else 4096}}})
    store = CatalogStore(bench.catalog, bench.catalog)
    if name == "parameters":
        assert store.load().tier("fast").variants[name].parameters == {"ctx_size": 1}
        return
    with pytest.raises(CatalogError) as refused:
        store.load()
    assert "one line" in refused.value.message.english
