"""What a token makes every device read: exact on models small enough to be counted by hand, and on real shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.forecast_rows import DATA, unpack_headers
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ParameterValue
from variet_gui.forecast.plan import plan_of
from variet_gui.forecast.settings import settings_of
from variet_gui.forecast.shape import model_shape
from variet_gui.forecast.traffic import Traffic, traffic
from variet_gui.gguf.header import GgufHeader, GgufTensor, read_header

WIDTH, HEADS, FEED_FORWARD, WORDS = 64, 2, 128, 300
NORM = 4 * WIDTH
SQUARE = 2 * WIDTH * WIDTH
FLAT = 2 * WIDTH * FEED_FORWARD
DENSE_LAYER = 2 * NORM + 4 * SQUARE + 3 * FLAT
HEAD = 2 * WIDTH * WORDS
ROW = 2 * WIDTH


def tensor(name: str, *shape: int, kind: str = "f16") -> GgufTensor:
    size = {"f16": 2, "f32": 4}[kind]
    for length in shape:
        size *= length
    return GgufTensor(name, shape, kind, 0, size)


def tiny(layers: int = 2, experts: int = 0, *, tied: bool = False, **more: Any) -> GgufHeader:
    """Return the header of a llama of f16 matrices and f32 norms; with experts, two of them are used."""
    metadata: dict[str, Any] = {
        "general.architecture": "llama",
        "llama.block_count": layers,
        "llama.embedding_length": WIDTH,
        "llama.attention.head_count": HEADS,
        "llama.feed_forward_length": FEED_FORWARD,
        "llama.context_length": 4096,
        "llama.vocab_size": WORDS,
        **({"llama.expert_count": experts, "llama.expert_used_count": 2} if experts else {}),
        **{f"llama.{key}": value for key, value in more.items()},
    }
    tensors = [tensor("token_embd.weight", WIDTH, WORDS), tensor("output_norm.weight", WIDTH, kind="f32")]
    if not tied:
        tensors.append(tensor("output.weight", WIDTH, WORDS))
    for layer in range(layers):
        block = f"blk.{layer}."
        tensors += [tensor(f"{block}{part}_norm.weight", WIDTH, kind="f32") for part in ("attn", "ffn")]
        tensors += [tensor(f"{block}attn_{part}.weight", WIDTH, WIDTH) for part in ("q", "k", "v", "output")]
        if experts:
            tensors.append(tensor(f"{block}ffn_gate_inp.weight", WIDTH, experts, kind="f32"))
        many, suffix = ((experts,), "_exps") if experts else ((), "")
        for part in ("gate", "up"):
            tensors.append(tensor(f"{block}ffn_{part}{suffix}.weight", WIDTH, FEED_FORWARD, *many))
        tensors.append(tensor(f"{block}ffn_down{suffix}.weight", FEED_FORWARD, WIDTH, *many))
    return GgufHeader(metadata, tuple(tensors), (), 3)


def needs(header: GgufHeader, devices: int = 1, depth: int = 0, **values: ParameterValue) -> Traffic:
    model = model_shape(header)
    assert model is not None
    settings = settings_of(LaunchProfile("fast", {"ctx_size": 1024, **values}), model.trained_context)
    names = [f"CUDA{number}" for number in range(devices)]
    plan = plan_of(model, settings, names, [1.0] * devices, offload=True)
    return traffic(model, settings, plan, devices, depth)


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GgufHeader]:
    folder = unpack_headers(DATA / "forecast_headers.tar.gz", tmp_path_factory.mktemp("headers"))
    return {path.stem: read_header(path) for path in sorted(Path(folder).glob("*.gguf"))}


def test_that_a_dense_model_is_read_whole_but_for_its_embeddings() -> None:
    found = needs(tiny())
    (card,) = found.devices
    assert card.weights == 2 * DENSE_LAYER + NORM + HEAD
    assert card.tensors == 2 * 9 + 2
    assert found.host.weights == ROW
    assert (found.host.tensors, found.visits, found.handovers, found.words) == (0, 0, 0, WORDS)


def test_that_a_mixture_of_experts_reads_the_router_and_the_experts_that_are_used() -> None:
    (card,) = needs(tiny(experts=8)).devices
    layer = 2 * NORM + 4 * SQUARE + 4 * WIDTH * 8 + 3 * FLAT * 8 * 2 // 8
    assert card.weights == 2 * layer + NORM + HEAD
    assert card.tensors == 2 * 10 + 2


def test_that_a_tied_head_is_read_whole_where_the_output_is() -> None:
    found = needs(tiny(tied=True), 2, tensor_split=(1, 1))
    assert [work.weights for work in found.devices] == [2 * DENSE_LAYER, NORM + HEAD]
    assert found.host.weights == ROW


def test_that_layers_and_head_are_shared_out_and_handed_over() -> None:
    found = needs(tiny(4), 2, tensor_split=(2, 3))
    assert [work.weights for work in found.devices] == [2 * DENSE_LAYER, 2 * DENSE_LAYER + NORM + HEAD]
    assert found.handovers == 1
    assert needs(tiny(4), 3, tensor_split=(2, 2, 1)).handovers == 2


@pytest.mark.parametrize(("depth", "cells"), [(0, 256), (255, 256), (256, 512), (700, 768), (10**6, 1024)])
def test_that_the_cache_is_read_in_steps_of_256_cells_up_to_its_size(depth: int, cells: int) -> None:
    (card,) = needs(tiny(), depth=depth).devices
    assert card.cache == 2 * cells * 2 * WIDTH * 2
    assert (card.converted, card.rotated) == (0, 0)


def test_that_a_quantised_cache_is_smaller_and_has_to_be_converted() -> None:
    (card,) = needs(tiny(), depth=500, cache_type_k="q8_0").devices
    assert card.cache == 2 * 512 * (WIDTH // 32 * 34 + 2 * WIDTH)
    assert card.converted == 2 * 512 * WIDTH
    assert card.rotated == 2
    (wide,) = needs(tiny(), depth=500, cache_type_v="bf16").devices
    assert (wide.cache, wide.converted, wide.rotated) == (2 * 512 * 4 * WIDTH, 2 * 512 * WIDTH, 0)


def test_that_a_cache_in_host_memory_is_read_by_the_cpu() -> None:
    found = needs(tiny(), depth=100, kv_offload=False, cache_type_k="q8_0")
    assert (found.devices[0].cache, found.devices[0].converted) == (0, 0)
    assert found.host.cache == 2 * 256 * (WIDTH // 32 * 34 + 2 * WIDTH)
    assert found.visits == 2


def test_that_layers_on_the_cpu_are_one_visit_and_take_their_cache_along() -> None:
    found = needs(tiny(4), n_gpu_layers=3, depth=10)
    assert found.host.weights == 2 * DENSE_LAYER + ROW
    assert found.host.cache == 2 * 256 * 2 * WIDTH * 2
    assert found.devices[0].weights == 2 * DENSE_LAYER + NORM + HEAD
    assert found.visits == 1


def test_that_everything_on_the_cpu_needs_no_device() -> None:
    found = needs(tiny(), 0)
    assert found.host.weights == 2 * DENSE_LAYER + NORM + HEAD + ROW
    assert found.host.tensors == 2 * 9 + 2
    assert (found.devices, found.visits, found.handovers) == ((), 1, 0)


def test_that_experts_on_the_cpu_are_read_there_and_cost_a_visit_a_layer() -> None:
    whole, found = needs(tiny(experts=8)), needs(tiny(experts=8), n_cpu_moe=1)
    used = 3 * FLAT * 2
    assert found.host.weights == used + ROW
    assert found.devices[0].weights == whole.devices[0].weights - used
    assert (found.host.tensors, found.visits) == (3, 1)


def test_that_an_override_that_matches_nothing_changes_no_byte() -> None:
    plain, found = needs(tiny(experts=8)), needs(tiny(experts=8), override_tensor="zzz=CPU")
    assert found == plain


def test_that_sliding_layers_read_their_window_only(headers: dict[str, GgufHeader]) -> None:
    # Gemma 4 26B: 5 full layers of 2 x 1024 values, 25 sliding ones of 2 x 2048, window 1024 and micro-batch 512.
    (card,) = needs(headers["gemma26-Q4_K_M"], depth=32767, ctx_size=65536).devices
    assert card.cache == 5 * 32768 * 2048 * 2 + 25 * 1536 * 4096 * 2
    (short,) = needs(headers["gemma26-Q4_K_M"], depth=0, ctx_size=65536).devices
    assert short.cache == (5 * 2048 + 25 * 4096) * 256 * 2


def test_that_recurrent_states_are_read_and_written_at_any_depth(headers: dict[str, GgufHeader]) -> None:
    # Qwen 3.5 35B: 30 layers; per layer 3 x (4096 + 2 x 16 x 128) and 128 x 4096 numbers of 4 bytes.
    states = 30 * (3 * 8192 + 128 * 4096) * 4
    for depth in (0, 32767):
        (card,) = needs(headers["qwen35b-Q4_K_M"], depth=depth, ctx_size=65536).devices
        assert card.states == 2 * states
        assert card.cache == 10 * (256 if depth == 0 else 32768) * 1024 * 2


@pytest.mark.parametrize(
    ("model", "gigabytes"),
    [("gemma26", 2.60), ("gemma31", 18.67), ("qwen27", 15.82), ("qwen35b", 1.98), ("qwen122", 5.75)],
)
def test_that_the_tiers_models_read_what_was_reckoned_for_them(
    headers: dict[str, GgufHeader], model: str, gigabytes: float
) -> None:
    (card,) = needs(headers[f"{model}-Q4_K_M"]).devices
    assert card.weights / 1e9 == pytest.approx(gigabytes, abs=0.01)


def test_that_layers_for_prediction_are_not_read(headers: dict[str, GgufHeader]) -> None:
    plain, more = needs(headers["qwen27-Q4_K_M"]), needs(headers["qwen27-mtp"])
    assert more.devices[0].tensors == plain.devices[0].tensors
    assert more.devices[0].states == plain.devices[0].states
