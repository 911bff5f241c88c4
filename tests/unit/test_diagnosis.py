"""Why a server ended: logs of a real b11434 that failed on purpose (data/), and CUDA's lines after its source."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.tiny_models import truncate, write_mismatched_projector, write_text_model
from variet_gui.engine.diagnosis import exit_in_words, explain, failure
from variet_gui.engine.diagnosis_rules import RULES, TROUBLES
from variet_gui.engine.diagnosis_texts import CAUSES
from variet_gui.events import Failure
from variet_gui.i18n import Message

DATA = Path(__file__).parent / "data"
ACTIONS = {"pick_engine", "pick_model", "pick_projector", "show_log", "restart", "start_on_cpu", "change_port"}
ACTIONS |= {"start_with_present_gpus"}

ALLOCATION = "E x_cuda_buffer_alloc: allocating 11034.25 MiB on device 1: cudaMalloc failed: out of memory"
RETRY = "W sched_reserve: compute buffer allocation failed, retrying without pipeline parallelism"
READY = "0.02.300.008 I srv  llama_server: listening on http://127.0.0.1:8081"


def told(text: str, exit_code: int | None = 1, *, was_ready: bool = False) -> Failure:
    return explain(role="fast", exit_code=exit_code, lines=text.splitlines(), was_ready=was_ready)


def recorded(name: str, exit_code: int = 1) -> Failure:
    return told((DATA / name).read_text(encoding="utf-8"), exit_code)


def words(message: Message | None) -> str:
    assert message is not None
    return message.english


@pytest.mark.parametrize(
    ("name", "code", "part_of_the_text"),
    [
        ("fail_missing_model.txt", "model_missing", "/nowhere/x.gguf"),
        ("fail_garbage_model.txt", "model_not_gguf", "garbage.gguf"),
        ("fail_truncated_model.txt", "model_truncated", "blk.16.ffn_down.weight"),
        ("fail_projector_as_model.txt", "model_is_projector", "projector"),
        ("fail_draft_model.txt", "draft_model", "/nowhere/d.gguf"),
        ("fail_missing_projector.txt", "projector_missing", "/nowhere/p.gguf"),
        ("fail_garbage_projector.txt", "projector_unusable", "garbage.gguf"),
        ("fail_truncated_projector.txt", "projector_unusable", "trmm.gguf"),
        ("fail_projector_mismatch.txt", "projector_mismatch", "width 96"),
        ("fail_unknown_flag.txt", "flag_removed", "--load-mode"),
        ("fail_removed_flag.txt", "flag_removed", "--spec-draft-n-max"),
        ("fail_bad_value.txt", "value_refused", "-fa"),
        ("fail_unknown_device.txt", "device_unknown", "CUDA0"),
        ("fail_port_in_use.txt", "port_in_use", "39612"),
        ("fail_v_cache.txt", "cache_needs_flash_attention", "flash attention"),
        ("fail_chat_template.txt", "chat_template", "Unexpected token"),
        ("fail_split_mode.txt", "split_mode_unfit", "needs >= 1 devices"),
        ("fail_out_of_host_memory.txt", "out_of_host_memory", "memory"),
    ],
)
def test_that_a_recorded_failure_is_named(name: str, code: str, part_of_the_text: str) -> None:
    found = recorded(name)
    assert found.code == code
    assert part_of_the_text in f"{found.title.english} {found.detail.english if found.detail else ''}"
    assert found.evidence
    assert found.fixes
    assert found.exit_code == 1


def test_that_an_unreachable_remote_device_is_named_with_its_address() -> None:
    found = recorded("fail_rpc.txt", -6)
    assert found.code == "rpc_unreachable"
    assert "127.0.0.1:50999" in found.title.english
    assert "SIGABRT" in words(found.detail)


@pytest.mark.parametrize(
    ("after", "what"),
    [
        ("E llama_model_load: error loading model: unable to allocate CUDA1 buffer", "weights"),
        ("E x: failed to initialize the context: failed to allocate buffer for kv cache", "KV cache"),
        ("E x: failed to initialize the context: failed to allocate buffer for rs cache", "recurrent state"),
        ("E x: failed to initialize the context: failed to allocate compute pp buffers", "compute buffer"),
        ("E clip_init: failed to load model 'mmproj.gguf': out of memory", "projector"),
        ("", "a buffer"),
    ],
)
def test_that_a_full_gpu_is_named_with_what_had_no_room(after: str, what: str) -> None:
    second = "E x: failed to allocate CUDA1 buffer of size 11570249728"
    found = told(f"{ALLOCATION}\n{second}\n{after}\nE srv  llama_server: exiting due to model loading error")
    assert found.code == "out_of_gpu_memory"
    assert "GPU 1" in found.title.english
    assert what in found.title.english
    assert "11034 MiB" in found.title.english


def test_that_a_full_gpu_is_named_where_the_back_end_does_not_say_why() -> None:
    found = told(
        "E ggml_backend_buft_alloc_buffer_n_default: failed to allocate Vulkan0 buffer of size 11570249728\n"
        "E llama_model_load: error loading model: unable to allocate Vulkan0 buffer"
    )
    assert found.code == "out_of_gpu_memory"
    assert "Vulkan0" in found.title.english
    assert "11034 MiB" in found.title.english


def test_that_an_allocation_that_was_tried_again_with_success_is_not_blamed() -> None:
    found = told(
        f"{ALLOCATION}\n{RETRY}\n"
        "E mtmd_init_from_file: error: mismatch between text model (n_embd = 64) and mmproj (n_embd = 96)"
    )
    assert found.code == "projector_mismatch"


def test_that_an_allocation_that_failed_again_after_the_retry_is_blamed() -> None:
    found = told(
        f"{ALLOCATION}\n{RETRY}\n{ALLOCATION.replace('device 1', 'device 0')}\n"
        "E llama_init_from_model: failed to initialize the context: failed to allocate compute pp buffers"
    )
    assert found.code == "out_of_gpu_memory"
    assert "GPU 0" in found.title.english


def test_that_the_first_cause_is_told_and_not_the_last_symptom() -> None:
    found = told(
        f"{ALLOCATION}\n"
        "E llama_model_load: error loading model: unable to allocate CUDA1 buffer\n"
        "E srv    load_model: failed to load model, 'x.gguf'\n"
        "E srv  llama_server: exiting due to model loading error"
    )
    assert found.code == "out_of_gpu_memory"
    assert found.evidence[0] == ALLOCATION[2:]
    assert len(found.evidence) == 4


@pytest.mark.parametrize(
    ("text", "exit_code", "code"),
    [
        ("CUDA error: out of memory\n  current device: 0, in function alloc at x.cu:583\n  stmt\n", -6,
         "out_of_gpu_memory_while_working"),
        ("CUDA error: an illegal memory access was encountered\n  current device: 1, in function f at x.cu:1", -6,
         "gpu_fault"),
        ('x.cpp:12: GGML_ASSERT(a && "non-causal attention requires n_ubatch >= n_tokens") failed', -6,
         "image_larger_than_micro_batch"),
        ("x.cpp:12: GGML_ASSERT(n > 0) failed", -6, "engine_fault"),
        ("terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc", -6,
         "out_of_host_memory"),
        ("", -9, "killed"),
        ("", 137, "killed"),
        ("", -15, "stopped_from_outside"),
        ("", 0, "stopped_from_outside"),
        ("", -11, "crashed"),
        ("", 0xC0000005, "crashed"),
        ("", -7, "model_file_vanished"),
        ("", 5, "unknown"),
        ("", None, "unknown"),
    ],
)  # fmt: skip
def test_that_an_end_at_work_is_named(text: str, exit_code: int | None, code: str) -> None:
    assert told(f"{READY}\n{text}", exit_code, was_ready=True).code == code


def test_that_an_error_from_before_it_was_ready_is_not_blamed_for_a_later_end() -> None:
    text = f"E common_chat_templates_init: error: Unexpected token\n{READY}\nI srv  update_slots: all slots are idle"
    assert told(text, -9, was_ready=True).code == "killed"


def test_that_a_complaint_from_hours_ago_is_not_blamed_for_a_crash() -> None:
    idle = "I srv  update_slots: all slots are idle\n" * 1000
    assert told(f"{READY}\nCUDA error: out of memory\n  current device: 0\n{idle}", -9, was_ready=True).code == "killed"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("error: invalid argument: --contxt", "flag_unknown"),
        ("error: the embedded engine cannot honour --rpc (the library has no setting for it)", "flag_not_honoured"),
        ("error: --model is required: the embedded engine serves one model", "no_model"),
        ('error while handling argument "-c": stoi', "value_refused"),
        ("llama-server: error while loading shared libraries: libcudart.so.12: cannot open", "engine_library_missing"),
        ("llama-server: /lib/libc.so.6: version `GLIBC_2.38' not found", "engine_library_missing"),
        ("E llama_model_load: error loading model: unknown model architecture: 'gemma9'", "model_unknown_architecture"),
        ("E llama_model_load: error loading model: missing tensor 'blk.0.x'", "model_unsuitable"),
        ("E llama_model_load: error loading model: wrong number of tensors; expected 9, got 8", "model_unsuitable"),
        ("E llama_model_load: error loading model: illegal split file idx: 1 (file: x)", "model_shards"),
        ("E llama_model_load: error loading model: something new", "model_not_loaded"),
        ("E load: invalid value for main_gpu: 2 (available devices: 2)", "main_gpu_missing"),
        ("E x: K cache type q8_0 with block size 32 does not divide n_embd_head_k=16", "k_cache_type_unfit"),
        ("E x: LLAMA_SPLIT_MODE_TENSOR not implemented for architecture 'x'", "split_mode_unfit"),
        ("E x: failed to initialize the context: something new", "context_not_made"),
        ("W layer 0 is assigned to device CPU but fused op is assigned to device CUDA0", "near_out_of_gpu_memory"),
    ],
)  # fmt: skip
def test_that_one_line_is_enough_where_the_server_says_it_in_one(line: str, code: str) -> None:
    found = told(line)
    assert found.code == code
    assert "?" not in found.title.english


def test_that_a_weak_hint_does_not_stand_before_a_real_cause() -> None:
    hint = "W layer 0 is assigned to device CPU but fused op is assigned to device CUDA0"
    assert told(f"{hint}\n{ALLOCATION}").code == "out_of_gpu_memory"


def test_that_an_unknown_end_says_so_with_the_last_errors_and_the_exit_code() -> None:
    found = told("I all is well\nE srv: a new kind of error\nI cleaning up", 3)
    assert found.code == "unknown"
    assert "does not say why" in found.title.english
    assert "exit code 3" in words(found.detail)
    assert found.evidence == ("srv: a new kind of error",)


def test_that_an_empty_log_is_enough_for_an_answer() -> None:
    found = told("", None)
    assert found.code == "unknown"
    assert found.evidence == ()


@pytest.mark.parametrize(
    ("exit_code", "part"),
    [(0, "without"), (1, "code 1"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (-10, "SIG"), (-63, "63"), (None, "not known"),
     (0xC0000005, "access violation"), (0xC0000999, "0xC0000999")],
)  # fmt: skip
def test_that_an_exit_code_is_put_into_words(exit_code: int | None, part: str) -> None:
    assert part in exit_in_words(exit_code).english


def test_that_every_rule_has_its_text_and_fills_every_place_in_it() -> None:
    for rule in (*RULES, *TROUBLES):
        cause = CAUSES[rule.cause]
        filled = {"role", *rule.pattern.groupindex, *rule.extra}
        for other in (rule.also, rule.before):
            filled |= set(other.groupindex if other else ())
        for message in (cause.shorter or cause.title, cause.detail):
            for place in re.findall(r"\{(\w+)\}", message.id if message else ""):
                assert place in filled, f"nothing fills {place} of {rule.cause} for {rule.pattern.pattern}"


def test_that_every_fix_is_an_action_of_the_window_or_a_change_of_settings() -> None:
    for code, cause in CAUSES.items():
        for fix in cause.fixes:
            assert fix.action in ACTIONS or (fix.action is None and fix.set_values), code


def test_that_a_place_that_nobody_fills_does_not_break_the_text() -> None:
    assert failure("port_in_use").title.english == "Port ? is in use."


# -------------------------------------------------------------------------------------------- with the real server


def ended(server: Path, folder: Path, *arguments: str) -> Failure:
    """Run the real llama-server until it gives up, and explain it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_")}
    finished = subprocess.run(
        [server, "-lv", "4", "--offline", "--host", "127.0.0.1", "--port", port, "-np", "1", "-c", "512", *arguments],
        cwd=folder, env={**environment, "GGML_NO_BACKTRACE": "1"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=60, check=False,
    )  # fmt: skip
    lines = finished.stdout.decode("utf-8", errors="replace").splitlines()
    return explain(role="fast", exit_code=finished.returncode, lines=lines, was_ready=False)


@pytest.mark.engine
def test_that_the_real_server_failing_on_purpose_is_explained(llama_server: Path, tmp_path: Path) -> None:
    write_text_model(tmp_path / "text.gguf")
    write_mismatched_projector(tmp_path / "other.gguf")
    truncate(write_text_model(tmp_path / "cut.gguf"), 0.7)
    (tmp_path / "garbage.gguf").write_bytes(b"garbage that is no model")
    text = ("-m", "text.gguf")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = str(holder.getsockname()[1])
        found = {
            "missing model": ended(llama_server, tmp_path, "-m", "gone.gguf").code,
            "garbage": ended(llama_server, tmp_path, "-m", "garbage.gguf").code,
            "cut": ended(llama_server, tmp_path, "-m", "cut.gguf").code,
            "projector as model": ended(llama_server, tmp_path, "-m", "other.gguf").code,
            "unknown flag": ended(llama_server, tmp_path, *text, "--no-such-flag").code,
            "bad value": ended(llama_server, tmp_path, *text, "--parallel", "many").code,
            "port in use": ended(llama_server, tmp_path, *text, "--port", taken).code,
            "missing projector": ended(llama_server, tmp_path, *text, "--mmproj", "gone.gguf").code,
            "projector of another model": ended(llama_server, tmp_path, *text, "--mmproj", "other.gguf").code,
            "v cache": ended(llama_server, tmp_path, *text, "-fa", "off", "-ctv", "q8_0").code,
        }
    assert found == {
        "missing model": "model_missing",
        "garbage": "model_not_gguf",
        "cut": "model_truncated",
        "projector as model": "model_is_projector",
        "unknown flag": "flag_unknown",
        "bad value": "value_refused",
        "port in use": "port_in_use",
        "missing projector": "projector_missing",
        "projector of another model": "projector_mismatch",
        "v cache": "cache_needs_flash_attention",
    }
