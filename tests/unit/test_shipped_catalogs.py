"""The two catalogs that come with the program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.profiles import current_build
from variet_gui import assets
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.command import build
from variet_gui.catalog.importing import import_command
from variet_gui.catalog.store import CatalogStore
from variet_gui.catalog.tiers import ROLES, Catalog, LaunchProfile, Tier
from variet_gui.engine.embedded_arguments import help_text, parse
from variet_gui.engine.probe import parse_help
from variet_gui.gguf.header import read_header

NAMES = ("engine_models.json", "demo_models.json")
K256, K192 = 262_144, 196_608


def shipped(name: str) -> Catalog:
    path = assets.config_template(name)
    return CatalogStore(path, path).load()


@pytest.fixture
def operator() -> Catalog:
    return shipped("engine_models.json")


@pytest.fixture
def demo() -> Catalog:
    return shipped("demo_models.json")


def command_of(tier: Tier, capabilities: Capabilities) -> tuple[str, ...]:
    built = build(
        LaunchProfile.of(tier),
        program=["llama-server"],
        capabilities=capabilities,
        port=tier.port,
        alias=tier.role,
        models_dir=Path("/models"),
        environ={},
    )
    assert built.notes == ()
    return built.argv


@pytest.mark.parametrize("name", NAMES)
def test_that_both_catalogs_hold_the_five_roles(name: str) -> None:
    assert shipped(name).roles == ROLES


def test_that_every_tier_has_a_port_of_its_own(operator: Catalog, demo: Catalog) -> None:
    assert [tier.port for tier in operator.tiers] == [8081, 8082, 8083, 8084, 8085]
    assert [tier.port for tier in demo.tiers] == [8181, 8182, 8183, 8184, 8185]


def test_that_the_fast_tier_is_as_it_was_tuned(operator: Catalog) -> None:
    tier = operator.tier("fast")
    assert (tier.model_name, tier.quantisation) == ("Gemma 4 26B-A4B", "Q4_K_M")
    assert tier.parameters == {
        "ctx_size": K256,
        "ubatch_size": 512,
        "batch_size": 2048,
        "tensor_split": [0.43, 0.57],
        "cache_type_k": "q8_0",
        "cache_type_v": "q8_0",
        "mmproj": "gemma-4-26B-mmproj-F16.gguf",
        "mmproj_offload": True,
    }


def test_that_what_is_not_recorded_stays_unset(operator: Catalog) -> None:
    assert operator.tier("balanced").parameters == {
        "ctx_size": K256,
        "ubatch_size": 256,
        "tensor_split": [0.48, 0.52],
        "mmproj_offload": False,
    }
    assert operator.tier("deep-coder").parameters == {"ctx_size": K192}
    assert operator.tier("deep-logic").parameters == {"ctx_size": K256}
    assert operator.tier("ultra").parameters == {"ctx_size": K256, "device": "CUDA1"}
    assert operator.engine is None
    assert operator.simulated_gpus is None


def test_that_removed_settings_are_not_set_but_remembered(operator: Catalog) -> None:
    gone = {"load_mode", "poll", "prio", "threads", "threads_batch", "spec_draft_model"}
    for tier in operator.tiers:
        assert not gone & tier.parameters.keys()
    settings = " ".join(note.setting for note in operator.tier("fast").tuning)
    for words in ("--mlock", "--poll 50", "--prio 3", "-t 6 -tb 6", "draft model"):
        assert words in settings


def test_that_every_tier_says_how_many_gpus_it_must_use(operator: Catalog) -> None:
    assert {tier.role: tier.expected_gpus for tier in operator.tiers} == {
        "fast": 2,
        "balanced": 2,
        "deep-coder": 2,
        "deep-logic": 2,
        "ultra": 1,
    }
    assert operator.tier("ultra").main_gpu_only == 1


def test_that_the_acceptance_is_the_recorded_one(operator: Catalog) -> None:
    accepted = {tier.role: tier.acceptance for tier in operator.tiers}
    assert {role: rule.min_tps for role, rule in accepted.items() if rule.min_tps} == {"fast": 70, "balanced": 50}
    assert [role for role, rule in accepted.items() if rule.stable] == ["deep-coder", "deep-logic"]
    assert [role for role, rule in accepted.items() if rule.starts] == ["ultra"]
    assert {rule.vram_limit_mib for rule in accepted.values()} == {12_288}


def test_that_the_figures_of_april_are_history_and_no_proof(operator: Catalog) -> None:
    first = {tier.role: tier.history[0] for tier in operator.tiers}
    assert {role: (figure.generation_tps, figure.context) for role, figure in first.items()} == {
        "fast": (71.89, K256),
        "balanced": (64.16, K256),
        "deep-coder": (16.0, K192),
        "deep-logic": (16.7, K256),
        "ultra": (8.95, K256),
    }
    for tier in operator.tiers:
        for figure in tier.history:
            assert figure.measured == "2026-04"
            assert figure.fingerprint is None


def test_that_the_demo_is_labelled_and_simulated(demo: Catalog) -> None:
    assert demo.engine == "embedded"
    assert demo.simulated_gpus == [12_288, 12_288]
    assert "Demonstration" in (demo.title or "")
    for tier in demo.tiers:
        assert tier.model_name == "SmolLM2 135M Instruct"
        assert "demonstration" in (tier.model_facts or "")
        assert tier.expected_gpus is None
        assert not tier.history
        assert "threads" not in tier.parameters


def test_that_the_demo_tiers_differ(demo: Catalog) -> None:
    assert len({json.dumps(tier.parameters["tensor_split"]) for tier in demo.tiers}) == 5
    assert len({json.dumps(tier.parameters, sort_keys=True) for tier in demo.tiers}) == 5


def test_that_two_demo_tiers_see_with_the_projector_that_ships(demo: Catalog) -> None:
    seeing = {tier.role: tier.parameters for tier in demo.tiers if "mmproj" in tier.parameters}
    assert {role: values["mmproj_offload"] for role, values in seeing.items()} == {"fast": True, "balanced": False}
    for values in seeing.values():
        assert Path(str(values["mmproj"])) == Path("demo") / assets.demo_projector().name


def test_that_the_embedded_engine_takes_every_demo_tier(demo: Catalog) -> None:
    flags, removed, hints = parse_help(help_text())
    capabilities = Capabilities(flags=flags, removed=removed, value_hints=hints, embedded=True)
    for tier in demo.tiers:
        argv = command_of(tier, capabilities)
        assert argv[1:3] == ("-lv", "4")
        parse(list(argv[1:]))


@pytest.mark.parametrize("name", NAMES)
def test_that_every_tier_makes_a_command_line_that_reads_back(name: str) -> None:
    for tier in shipped(name).tiers:
        back = import_command(command_of(tier, current_build()), models_dir=Path("/models"))
        assert dict(back.values) == {"parallel": 1, **LaunchProfile.of(tier).values}
        assert (back.port, back.alias) == (tier.port, tier.role)


@pytest.mark.model
def test_that_the_demo_stays_within_the_trained_context(demo: Catalog, demo_model: Path) -> None:
    trained = read_header(demo_model).context_length
    assert trained is not None
    for tier in demo.tiers:
        assert tier.parameters["model"] == demo_model.name
        context = tier.parameters["ctx_size"]
        assert isinstance(context, int)
        assert 2048 <= context <= trained
