"""What single lines of a failing server say, and how they are made fit to be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variet_gui.engine.failure_lines import (
    Aborted,
    AllocationFailed,
    Frame,
    GpuErrorPlace,
    GpuErrorSaid,
    device_text,
    failure_fact,
    plain,
)


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ("x: allocating 528.00 MiB on device 1: cudaMalloc failed: out of memory", AllocationFailed("CUDA1", 528.0)),
        ("x: allocating 12,5 MiB on device 0: hipMalloc failed: out of memory", AllocationFailed("ROCm0", 12.5)),
        ("alloc_tensor_range: failed to allocate CUDA0 buffer of size 1048576", AllocationFailed("CUDA0", 1.0)),
        ("x: failed to allocate RPC0[10.0.0.2:50052] buffer of size 2097152",
         AllocationFailed("RPC0[10.0.0.2:50052]", 2.0)),
        ("ggml_vulkan: Device memory allocation of size 1048576 failed.", AllocationFailed(None, 1.0)),
        ("ggml_aligned_malloc: insufficient memory (attempted to allocate  41.96 MB)", AllocationFailed("CPU", 41.96)),
        ("CUDA error: out of memory", GpuErrorSaid("out of memory")),
        ("CUDA error 700 at ggml-cuda.cu:6951: an illegal memory access was encountered",
         GpuErrorSaid("an illegal memory access was encountered")),
        ("  current device: 1, in function alloc at /src/ggml-cuda.cu:583", GpuErrorPlace(1, "alloc")),
        ("/src/ggml-cuda.cu:109: CUDA error", Aborted("ggml-cuda.cu", "CUDA error")),
        ("C:\\src\\ggml-cuda.cu:73: CUDA error", Aborted("ggml-cuda.cu", "CUDA error")),
        ('GGML_ASSERT: ggml-cuda.cu:256: !"CUDA error"', Aborted("ggml-cuda.cu", "CUDA error")),
        ("server-1  | /app/ggml-backend.cpp:328: GGML_ASSERT(buffer) failed",
         Aborted("ggml-backend.cpp", "GGML_ASSERT(buffer) failed")),
        ("/opt/libmtmd.so.0(_Z11clip_encodeP8clip_ctx+0x51)[0x7f]", Frame("_Z11clip_encodeP8clip_ctx")),
        ("#1  0x000072260eb38683 in ggml_print_backtrace ()", Frame("ggml_print_backtrace")),
        ("srv  update_slots: all slots are idle", None),
        ("llama_model_loader: - kv   3: general.file_type u32 = 0", None),
    ],
)  # fmt: skip
def test_that_a_line_is_read_as_a_fact(line: str, fact: object) -> None:
    assert failure_fact(line) == fact


def test_that_the_computers_own_memory_is_told_from_a_devices() -> None:
    assert AllocationFailed("CPU_REPACK", 1.0).on_host
    assert AllocationFailed("CUDA_Host", 1.0).on_host
    assert not AllocationFailed("CUDA0", 1.0).on_host
    assert not AllocationFailed(None, 1.0).on_host


def test_that_a_device_is_named_as_people_name_it() -> None:
    assert str(device_text("CUDA1")) == "GPU 1"
    assert device_text("RPC0[10.0.0.2:50052]") == "RPC0[10.0.0.2:50052]"


def test_that_control_characters_and_hidden_text_are_taken_out() -> None:
    assert plain("\x1b[31mred\x1b[0m\x07 \x1b]0;title\x07plain\u202egnp\r") == "red plaingnp"


def test_that_a_key_never_shows() -> None:
    assert "sesame" not in plain("llama-server --api-key sesame --port 1")
    assert "sesame" not in plain('{"api_key": "sesame"}')
    assert "sesame" not in plain("Authorization: Bearer sesame")


def test_that_a_line_that_never_ends_is_cut() -> None:
    assert len(plain("x" * 100_000)) == 400


@given(st.text(max_size=300))
def test_that_whatever_is_said_can_be_shown_on_one_line(text: str) -> None:
    shown = plain(text)
    assert "\n" not in shown
    assert "\x1b" not in shown


@given(st.text(max_size=300))
def test_that_no_line_is_too_strange_to_read(text: str) -> None:
    failure_fact(text)
