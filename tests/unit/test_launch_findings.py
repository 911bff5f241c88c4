"""Settings that do not go together, with the model, the build or the machine: found before a start, each with a fix."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.support.profiles import current_build, old_build, recorded_build
from tests.support.spawned import free_port
from tests.support.tiny_models import GgufWriter, write_projector, write_text_model
from tests.support.waiting import run_async
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.parameters import check as check_value
from variet_gui.catalog.parameters import parameter
from variet_gui.catalog.tiers import LaunchProfile, Tier
from variet_gui.engine import surroundings
from variet_gui.engine.architectures import is_heard_of, is_known_to
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.build_era import build_bounds, has_since
from variet_gui.engine.cache_findings import cache_findings, head_widths
from variet_gui.engine.device_findings import visible_devices
from variet_gui.engine.findings import Finding
from variet_gui.engine.image_findings import image_findings
from variet_gui.engine.preflight import check
from variet_gui.events import GpuSample, ParameterValue, Severity
from variet_gui.gguf.header import GgufHeader, GgufTensor, Shard, read_header
from variet_gui.i18n import msg

ENGINE = EngineBinary((sys.executable,), Path(sys.executable), embedded=False, source=msg("a test"))
EMBEDDED = EngineBinary((sys.executable,), None, embedded=True, source=msg("a test"))
CARDS = tuple(GpuSample(index, "NVIDIA GeForce RTX 3060", 100.0, 12288.0, uuid=f"GPU-{index}abc") for index in (0, 1))


def numbered(build: int) -> Capabilities:
    """Return today's build under another number."""
    return Capabilities(current_build().flags, value_hints=current_build().value_hints, build=build)


def header(architecture: str = "llama", tensors: tuple[GgufTensor, ...] = (), **keys: Any) -> GgufHeader:
    """Return the header of a model that need not exist, with a width of 64 and two heads unless told otherwise."""
    named = {"embedding_length": 64, "block_count": 2, "attention.head_count": 2} | {
        key.replace("__", "."): value for key, value in keys.items()
    }
    metadata = {"general.architecture": architecture} | {f"{architecture}.{key}": v for key, v in named.items()}
    return GgufHeader(MappingProxyType(metadata), tensors, (Shard(Path("x.gguf"), 1, 1, 1),), 3)


def gemma_projector(kind: str = "gemma4v", width: int = 2816) -> GgufHeader:
    tensor = GgufTensor("mm.input_projection.weight", (768, width), "f16", 0, 1)
    return GgufHeader(
        MappingProxyType({"general.architecture": "clip", "clip.projector_type": kind}),
        (tensor,),
        (Shard(Path("mmproj.gguf"), 1, 1, 1),),
        3,
    )


def found(
    folder: Path,
    values: Mapping[str, ParameterValue] | None = None,
    *,
    capabilities: Capabilities | None = None,
    gpus: tuple[GpuSample, ...] | None = None,
    environ: Mapping[str, str] | None = None,
    expected: int | None = None,
    own: Mapping[str, str] | None = None,
    binary: EngineBinary = ENGINE,
    fewer: bool = False,
) -> dict[str, Finding]:
    """Return the findings of a tier on the tiny model, by code; the model is there unless `values` say otherwise."""
    if not (folder / "text.gguf").exists():
        write_text_model(folder / "text.gguf")
    profile = LaunchProfile("fast", {"model": "text.gguf", "parallel": 1, **(values or {})}, (), own or {})
    tier = Tier(role="fast", model_name="tiny", port=free_port(), expected_gpus=expected)
    findings = run_async(
        check(profile, tier, binary, capabilities, folder, gpus=gpus, environ=environ or {}, fewer_gpus_will_do=fewer)
    )
    for one in findings:
        assert "?" not in one.text.english + (one.detail.english if one.detail else "")
        for fix in one.fixes:
            assert fix.action or fix.set_values
            for key, value in fix.set_values.items():
                assert value is None or check_value(parameter(key), value) == value
    assert len({one.code for one in findings}) == len(findings)
    return {one.code: one for one in findings}


def of_cache(
    values: Mapping[str, ParameterValue], model: GgufHeader | None = None, build: Capabilities | None = None
) -> list[str]:
    return [one.code for one in cache_findings(LaunchProfile("fast", values), model, build, on_gpu=True)]


# ----------------------------------------------------------------------------------------------- the age of a build


def test_that_an_unofficial_build_is_told_by_its_flags() -> None:
    assert build_bounds(None) == build_bounds(Capabilities()) == (0, None)
    assert build_bounds(numbered(10509)) == (10509, 10509)
    today = Capabilities(current_build().flags)
    assert build_bounds(today) == (11350, None)
    older = recorded_build("b9093")
    assert build_bounds(Capabilities(older.flags)) == (0, 10839)
    embedded = Capabilities(frozenset({"-m"}), version="2026.10.11549", embedded=True)
    assert build_bounds(embedded) == (11549, 11549)
    assert build_bounds(Capabilities(frozenset({"-m"}), embedded=True)) == (0, None)


def test_that_between_two_sources_nothing_is_claimed() -> None:
    assert has_since(numbered(100), absent_in=100, present_in=200) is False
    assert has_since(numbered(150), absent_in=100, present_in=200) is None
    assert has_since(numbered(200), absent_in=100, present_in=200) is True


# ---------------------------------------------------------------------------------------------------- architectures


def test_that_a_kind_of_model_is_known_from_the_build_on_that_has_it() -> None:
    assert is_known_to(numbered(9093), "gemma4") is True
    assert is_known_to(numbered(8000), "gemma4") is None
    assert is_known_to(numbered(9093), "deepseek4") is False
    assert is_known_to(numbered(10000), "deepseek4") is None
    assert is_known_to(numbered(11434), "deepseek4") is True
    assert is_known_to(numbered(11434), "from_the_future") is None
    assert not is_heard_of("from_the_future", numbered(11434))
    assert is_heard_of("from_the_future", numbered(20000))


def test_that_an_unknown_kind_of_model_is_a_warning(tmp_path: Path) -> None:
    GgufWriter("deepseek4").write(tmp_path / "new.gguf")
    GgufWriter("from_the_future").write(tmp_path / "newer.gguf")
    warned = found(tmp_path, {"model": "new.gguf"}, capabilities=numbered(9093))["model_unknown_architecture"]
    assert warned.severity is Severity.WARNING
    assert "deepseek4" in warned.text.english
    assert [fix.action for fix in warned.fixes] == ["pick_engine", "pick_model"]
    assert found(tmp_path, {"model": "new.gguf"}, capabilities=numbered(11434)) == {}
    warned = found(tmp_path, {"model": "newer.gguf"}, capabilities=numbered(11434))["architecture_unheard_of"]
    assert warned.severity is Severity.WARNING
    assert found(tmp_path, {"model": "newer.gguf"}, capabilities=numbered(20000)) == {}


# ---------------------------------------------------------------------------------------------------------- caches


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ({"cache_type_v": "q8_0", "flash_attn": "off"}, ["cache_needs_flash_attention"]),
        ({"cache_type_k": "q8_0", "flash_attn": "off"}, []),
        ({"cache_type_k": "q8_0", "cache_type_v": "q8_0"}, []),
        ({"cache_type_k": "q8_0", "cache_type_v": "q8_0", "flash_attn": "on"}, []),
        ({"cache_type_k": "iq4_nl", "cache_type_v": "iq4_nl"}, ["cache_type_off_gpu"]),
        ({"cache_type_k": "iq4_nl", "n_gpu_layers": 0}, []),
        ({"cache_type_k": "iq4_nl", "kv_offload": False}, []),
        ({"cache_type_k": "q4_1", "cache_type_v": "q5_1"}, []),
        ({"split_mode": "tensor", "flash_attn": "off"}, ["split_mode_unfit"]),
        ({"split_mode": "tensor", "cache_type_k": "q8_0"}, []),
    ],
)
def test_that_cache_types_go_with_the_attention(values: dict[str, ParameterValue], codes: list[str]) -> None:
    assert of_cache(values, header(), current_build()) == codes
    assert of_cache(values, None, None) == [code for code in codes if "unfit" not in code or "split" in code]


def test_that_older_builds_have_rules_of_their_own() -> None:
    pair: dict[str, ParameterValue] = {"cache_type_k": "q8_0", "cache_type_v": "q4_0"}
    assert of_cache(pair, header(), numbered(10509)) == ["cache_type_off_gpu"]
    assert of_cache(pair, header(), numbered(11434)) == []
    assert of_cache({"cache_type_k": "q5_1", "cache_type_v": "q5_1"}, header(), numbered(10509)) != []
    assert of_cache({"cache_type_k": "q4_0", "cache_type_v": "q4_0"}, header(), numbered(10509)) == []
    assert of_cache({"split_mode": "tensor", "cache_type_k": "q8_0"}, header(), numbered(9093))[0] == "split_mode_unfit"
    # A flag that takes no value: off unless it stands there.
    assert of_cache({"cache_type_v": "q8_0"}, header(), old_build()) == ["cache_needs_flash_attention"]
    assert of_cache({"cache_type_v": "q8_0", "flash_attn": "auto"}, header(), old_build()) != []
    assert "cache_needs_flash_attention" not in of_cache(
        {"cache_type_v": "q8_0", "flash_attn": "on"}, header(), old_build()
    )


def test_that_a_cache_type_must_divide_the_heads() -> None:
    odd = header(attention__key_length=80, attention__value_length=48)
    assert head_widths(odd) == ({80}, {48})
    q8: dict[str, ParameterValue] = {"cache_type_k": "q8_0", "cache_type_v": "q8_0"}
    assert of_cache(q8, odd, current_build()) == ["k_cache_type_unfit", "v_cache_type_unfit"]
    assert of_cache({**q8, "flash_attn": "off", "cache_type_v": "f16"}, odd, current_build()) == []
    assert of_cache({"cache_type_k": "bf16"}, odd, current_build()) == []
    sliding = header(attention__key_length=512, attention__key_length_swa=80)
    assert of_cache({"cache_type_k": "q8_0"}, sliding, current_build()) == ["k_cache_type_unfit"]
    per_layer = header(embedding_length=4096, attention__head_count=(0, 32, 32))
    assert head_widths(per_layer) == ({128}, {128})
    assert head_widths(header(attention__head_count=0)) == (frozenset(), frozenset())


def test_that_a_latent_cache_has_one_type() -> None:
    latent = header("deepseek2", attention__key_length_mla=192, attention__value_length_mla=128)
    findings = cache_findings(LaunchProfile("fast", {"cache_type_k": "q8_0"}), latent, numbered(11434), on_gpu=True)
    assert [one.code for one in findings] == ["cache_types_differ"]
    assert dict(findings[0].fixes[0].set_values) == {"cache_type_v": "q8_0"}
    assert of_cache({"cache_type_k": "q8_0"}, latent, numbered(9093)) != ["cache_types_differ"]


def test_that_an_architecture_without_flash_attention_counts_as_off() -> None:
    assert of_cache({"cache_type_v": "q8_0", "flash_attn": "on"}, header("grok"), current_build()) == [
        "cache_needs_flash_attention"
    ]


# -------------------------------------------------------------------------------------------------------- pictures


def of_image(
    values: Mapping[str, ParameterValue], projector: GgufHeader, build: Capabilities | None
) -> list[tuple[str, Severity]]:
    return [(one.code, one.severity) for one in image_findings(LaunchProfile("fast", values), projector, build)]


SMALLER = [("pictures_made_smaller", Severity.WARNING)]
STOPS = [("picture_stops_server", Severity.ERROR)]
MAY_STOP = [("picture_stops_server", Severity.WARNING)]


@pytest.mark.parametrize(
    ("values", "kind", "width", "build", "expected"),
    [
        ({}, "gemma4v", 2816, 11434, SMALLER),
        ({"ubatch_size": 1120}, "gemma4v", 2816, 11434, []),
        ({"ubatch_size": 1152, "batch_size": 512}, "gemma4v", 2816, 11434, SMALLER),
        ({"image_max_tokens": 512}, "gemma4v", 2816, 11434, []),
        ({}, "gemma4uv", 2816, 11434, SMALLER),
        ({}, "gemma4v", 2560, 11434, []),  # E4B takes a picture token by token
        ({}, "gemma4v", 2816, 10840, STOPS),
        ({}, "gemma4v", 2816, 11321, STOPS),
        ({"image_max_tokens": 600}, "gemma4v", 2816, 9093, STOPS),
        ({}, "gemma4v", 2816, 9093, []),  # at most 280 tokens then
        ({"ubatch_size": 256}, "gemma4v", 2560, 9093, STOPS),
        ({}, "gemma4v", 2816, 10000, MAY_STOP),
        ({}, "gemma4v", 2816, 11330, MAY_STOP),
        ({"ubatch_size": 128}, "gemma3", 2560, 11434, STOPS),
        ({}, "gemma3", 2560, 11434, []),
        ({"ubatch_size": 16}, "qwen3vl_merger", 2560, 11434, []),
    ],
)
def test_that_a_picture_must_fit_into_a_micro_batch(
    values: dict[str, ParameterValue], kind: str, width: int, build: int, expected: list[tuple[str, Severity]]
) -> None:
    assert of_image(values, gemma_projector(kind, width), numbered(build)) == expected


def test_that_the_fix_for_large_pictures_is_enough() -> None:
    projector = gemma_projector()
    for values in ({}, {"ubatch_size": 64, "batch_size": 64}):
        profile = LaunchProfile("fast", values)
        for fix in image_findings(profile, projector, numbered(11434))[0].fixes:
            mended = profile
            for key, value in fix.set_values.items():
                mended = mended.with_value(key, value)
            assert image_findings(mended, projector, numbered(11434)) == []
    assert dict(image_findings(LaunchProfile("fast"), projector, None)[0].fixes[0].set_values) == {"ubatch_size": 1152}


# ------------------------------------------------------------------------------------- context, slots, drafts, files


def test_that_a_context_beyond_the_training_is_told(tmp_path: Path) -> None:
    warned = found(tmp_path, {"ctx_size": 8192})["context_beyond_training"]
    assert warned.severity is Severity.WARNING
    assert dict(warned.fixes[0].set_values) == {"ctx_size": 4096}
    assert found(tmp_path, {"ctx_size": 8192, "parallel": 2}) == {}
    assert found(tmp_path, {"ctx_size": 4096}) == found(tmp_path, {"ctx_size": 0}) == {}
    assert found(tmp_path, {"ctx_size": 8192, "rope_scaling": "yarn"}) == {}


def test_that_the_single_slot_is_told(tmp_path: Path) -> None:
    write_text_model(tmp_path / "text.gguf")
    tier = Tier(role="fast", model_name="tiny", port=free_port())
    profile = LaunchProfile("fast", {"model": "text.gguf"})
    (told,) = run_async(check(profile, tier, ENGINE, None, tmp_path, environ={}))
    assert (told.code, told.severity) == ("parallel_unset", Severity.INFO)
    assert dict(told.fixes[0].set_values) == {"parallel": 1}


def test_that_a_draft_model_needs_a_method(tmp_path: Path) -> None:
    write_text_model(tmp_path / "draft.gguf", layers=1)
    warned = found(tmp_path, {"spec_draft_model": "draft.gguf"})["draft_without_method"]
    assert warned.severity is Severity.WARNING
    assert dict(warned.fixes[0].set_values) == {"spec_type": "draft-simple"}
    assert found(tmp_path, {"spec_draft_model": "draft.gguf", "spec_type": "draft-simple"}) == {}
    assert found(tmp_path, {"spec_draft_model": "draft.gguf"}, capabilities=recorded_build("b9093")) == {}
    GgufWriter("dflash").write(tmp_path / "dflash.gguf")
    assert found(tmp_path, {"spec_draft_model": "dflash.gguf"}) == {}  # the file says its method
    assert found(tmp_path, {"spec_draft_model": "gone.gguf"})["draft_model"].severity is Severity.ERROR


def test_that_a_method_needs_what_it_works_with(tmp_path: Path) -> None:
    assert found(tmp_path, {"spec_type": "draft-simple,ngram-mod"})["method_without_draft"].severity is Severity.WARNING
    stopped = found(tmp_path, {"spec_type": "draft-mtp"})["no_prediction_layers"]
    assert stopped.severity is Severity.ERROR
    assert dict(stopped.fixes[0].set_values) == {"spec_type": None}
    assert found(tmp_path, {"spec_type": "ngram-mod"}) == {}


def test_that_other_files_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "there.gguf").write_bytes(b"x")
    missing = found(tmp_path, {"lora": "there.gguf,gone.gguf"})["file_missing"]
    assert "gone.gguf" in missing.text.english
    assert "--lora" in missing.text.english
    assert dict(missing.fixes[0].set_values) == {"lora": None}
    assert "file_missing" in found(tmp_path, {"slot_save_path": "there.gguf"})  # a folder is wanted
    assert found(tmp_path, {"slot_save_path": str(tmp_path), "lookup_cache_dynamic": "made-later"}) == {}


# ---------------------------------------------------------------------------------------------------- surroundings


@pytest.fixture
def system_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "etc" / "config.ini"
    path.parent.mkdir()
    monkeypatch.setattr(surroundings, "SYSTEM_FILE", path)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="other folders there")
def test_that_a_configuration_file_is_named_with_its_keys(tmp_path: Path, system_file: Path) -> None:
    system_file.write_text("ctx-size = 512 ; small\nngl=3\nport = 99\n[other]\nfa = off\n", encoding="utf-8")
    warned = found(tmp_path, {"n_gpu_layers": 99})["config_file_alters"]
    assert warned.severity is Severity.WARNING
    assert warned.text.english == f"{system_file} changes this start: ctx-size."
    assert dict(warned.fixes[0].set_values) == {"ctx_size": 0}
    assert found(tmp_path, {"n_gpu_layers": 99, "ctx_size": 4096}) == {}
    assert found(tmp_path, capabilities=numbered(9093)) == {}  # it reads no such file
    assert found(tmp_path, binary=EMBEDDED, capabilities=Capabilities(embedded=True)) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="other folders there")
def test_that_the_operators_own_file_is_found_where_llama_server_looks(tmp_path: Path, system_file: Path) -> None:
    own = tmp_path / "home" / ".config" / "llama.cpp" / "config.ini"
    own.parent.mkdir(parents=True)
    own.write_text("[*]\nLLAMA_ARG_THREADS = 2\nmade-up = 1\nversion = 1\n# ctx-size = 1\n", encoding="utf-8")
    environ = {"HOME": str(tmp_path / "home")}
    assert "LLAMA_ARG_THREADS, made-up" in found(tmp_path, environ=environ)["config_file_alters"].text.english
    assert found(tmp_path, environ=environ, own={"XDG_CONFIG_HOME": str(tmp_path / "elsewhere")}) == {}
    system_file.mkdir()
    assert "config_file_unreadable" in found(tmp_path)


def test_that_scrubbed_variables_are_told(tmp_path: Path) -> None:
    told = found(tmp_path, environ={"LLAMA_ARG_CTX_SIZE": "1", "AIP_MODE": "PREDICTION", "PATH": "/bin"})
    assert told["environment_scrubbed"].severity is Severity.INFO
    assert "AIP_MODE, LLAMA_ARG_CTX_SIZE" in told["environment_scrubbed"].text.english


# --------------------------------------------------------------------------------------------------------- devices


def test_that_a_start_stops_when_a_gpu_is_not_there(tmp_path: Path) -> None:
    stopped = found(tmp_path, gpus=CARDS[:1], expected=2)["gpus_absent"]
    assert stopped.severity is Severity.ERROR
    assert stopped.text.english == "This tier is meant for 2 GPUs; the driver shows 1."
    assert [fix.action for fix in stopped.fixes] == ["start_with_present_gpus"]
    assert found(tmp_path, gpus=CARDS[:1], expected=2, fewer=True)["gpus_absent"].severity is Severity.WARNING
    assert found(tmp_path, gpus=CARDS, expected=2) == found(tmp_path, gpus=CARDS, expected=1) == {}
    assert found(tmp_path, gpus=None, expected=2) == {}
    assert found(tmp_path, gpus=(), expected=0) == {}


def test_that_no_gpu_at_all_stops_a_start_that_expects_one(tmp_path: Path) -> None:
    stopped = found(tmp_path, gpus=(), expected=1)["gpus_all_absent"]
    assert [fix.action for fix in stopped.fixes] == ["start_with_present_gpus", "start_on_cpu"]
    assert found(tmp_path, gpus=(), expected=1, binary=EMBEDDED) == {}  # that one works on the CPU
    assert found(tmp_path, {"rpc": "10.0.0.2:50052"}, gpus=(), expected=1) == {}


def test_that_simulated_gpus_are_no_gpus(tmp_path: Path) -> None:
    cards = (GpuSample(0, "Simulated GPU 0", 1.0, 12288.0, simulated=True),)
    assert found(tmp_path, gpus=cards, expected=2) == {}


def test_that_hidden_gpus_are_noticed(tmp_path: Path) -> None:
    hidden = {"CUDA_VISIBLE_DEVICES": "1"}
    stopped = found(tmp_path, gpus=CARDS, expected=2, environ=hidden)["gpus_hidden"]
    assert stopped.severity is Severity.ERROR
    assert "CUDA_VISIBLE_DEVICES=1 shows llama-server 1" in stopped.text.english
    assert "gpus_hidden" in found(tmp_path, expected=2, own=hidden)
    assert list(found(tmp_path, gpus=CARDS, expected=1, own=hidden)) == []
    told = found(tmp_path, gpus=CARDS, expected=1, environ=hidden)
    assert [(code, one.severity) for code, one in told.items()] == [("gpus_chosen_outside", Severity.INFO)]
    assert list(found(tmp_path, gpus=CARDS, expected=2, environ=hidden, own={"CUDA_VISIBLE_DEVICES": "0,1"})) == []
    assert "gpus_hidden" in found(tmp_path, gpus=CARDS, expected=1, environ={"CUDA_VISIBLE_DEVICES": "-1"})


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("0,1", ["0", "1"]),
        ("1, 0", ["1", "0"]),
        ("0,2,1", ["0"]),
        ("", []),
        ("-1", []),
        ("0,0", ["0"]),
        ("GPU-1a,0", ["GPU-1a", "0"]),
        ("GPU-9,0", []),
        ("NoDevFiles", []),
    ],
)
def test_that_visible_devices_end_at_the_first_that_is_none(value: str, taken: list[str]) -> None:
    assert visible_devices(value, CARDS) == taken


def test_that_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    stopped = found(tmp_path, {"device": "CUDA0,CUDA1"}, gpus=CARDS[:1])["device_not_there"]
    assert "CUDA1" in stopped.text.english
    assert dict(stopped.fixes[0].set_values) == {"device": "CUDA0"}
    assert dict(found(tmp_path, {"mmproj_device": "CUDA5"}, gpus=CARDS)["device_not_there"].fixes[0].set_values) == {
        "mmproj_device": None
    }
    assert found(tmp_path, {"device": "Vulkan3,CUDA1"}, gpus=CARDS) == {}
    assert found(tmp_path, {"device": "CUDA1"}) == {}  # not known
    values: dict[str, ParameterValue] = {"split_mode": "none", "main_gpu": 1}
    assert "main_gpu_missing" in found(tmp_path, values, gpus=CARDS[:1])
    assert found(tmp_path, values, gpus=CARDS) == {}


def test_that_the_header_of_the_tiny_model_says_its_heads(tmp_path: Path) -> None:
    write_projector(tmp_path / "mmproj.gguf")
    assert head_widths(read_header(write_text_model(tmp_path / "text.gguf"))) == ({32}, {32})
    assert image_findings(LaunchProfile("fast"), read_header(tmp_path / "mmproj.gguf"), None) == []
