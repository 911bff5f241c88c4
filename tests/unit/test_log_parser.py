"""What the log says, on logs of a real b11434 (data/) and on the line shapes of CUDA and of older builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from variet_gui.engine import log_parser as facts
from variet_gui.engine.image_timer import ImageTimer
from variet_gui.engine.log_parser import BufferKind, Fact, LoadReport, Phase, parse, split_line
from variet_gui.events import DeviceBuffers

DATA = Path(__file__).parent / "data"

TWO_CARDS = (DATA / "log_two_cards_by_source.txt").read_text(encoding="utf-8")
"""Not recorded: written after the source, since no recording of two CUDA cards is at hand."""


def report_of(text: str) -> LoadReport:
    report = LoadReport()
    for line in text.splitlines():
        fact = parse(line)
        if fact is not None:
            report.add(fact)
    return report


def recorded(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def buffers_by_name(report: LoadReport) -> dict[str, DeviceBuffers]:
    return {part.device: part for part in report.buffers}


def test_that_a_real_load_on_the_cpu_is_read_from_start_to_ready() -> None:
    report = report_of(recorded("log_cpu.txt"))
    buffers = buffers_by_name(report)
    assert buffers["CPU_Mapped"].weights_mib == 92.10
    assert buffers["CPU"].context_mib == 45.0
    assert buffers["CPU"].compute_mib == pytest.approx(4.16 + 0.19)
    assert report.context == facts.ContextSize(2048, 1)
    assert report.model_loaded
    assert report.url == "http://127.0.0.1:39611"
    assert report.projector is None


def test_that_a_build_without_gpu_is_not_taken_for_one_although_it_says_offloaded_to_gpu() -> None:
    report = report_of(recorded("log_cpu.txt"))
    assert report.layers_offloaded == facts.LayersOffloaded(31, 31)
    assert report.gpus_in_use == ()


def test_that_buffers_of_two_remote_devices_are_told_apart_though_both_are_called_rpc0() -> None:
    report = report_of(recorded("log_two_rpc_devices.txt"))
    assert [part.device for part in report.buffers] == ["RPC0", "RPC1", "CPU", "CPU_Mapped"]
    buffers = buffers_by_name(report)
    assert (buffers["RPC0"].weights_mib, buffers["RPC1"].weights_mib) == (29.59, 62.51)
    assert (buffers["RPC0"].context_mib, buffers["RPC1"].context_mib) == (21.0, 24.0)
    assert report.gpus_in_use == ("RPC0", "RPC1")
    assert report.pipeline_copies == 4


def test_that_only_the_forecast_before_loading_is_kept_and_not_the_table_at_the_end() -> None:
    report = report_of(recorded("log_two_rpc_devices.txt"))
    assert [row.device for row in report.forecast] == ["RPC0", "RPC1", "Host"]
    first = report.forecast[0]
    assert (first.total_mib, first.weights_mib, first.context_mib, first.compute_mib) == (24105, 29, 21, 35)


def test_that_the_trial_run_of_fit_is_not_counted_as_memory() -> None:
    buffers = buffers_by_name(report_of(recorded("log_fit_trial_verbose.txt")))
    assert buffers["CPU"].compute_mib == pytest.approx(15.14 + 0.19)
    assert buffers["CPU"].context_mib == 11.25
    assert buffers["CPU_Mapped"].weights_mib == 92.10


def test_that_a_projector_adds_its_weights_and_its_compute() -> None:
    report = report_of(recorded("log_vision.txt"))
    assert report.projector == "mmproj.gguf"
    assert report.projector_estimate_mib == 0.24
    assert buffers_by_name(report)["CPU"].projector_mib == pytest.approx(0.17 + 0.07)


def test_that_two_cards_are_read_with_both_caches_and_their_pci_addresses() -> None:
    report = report_of(TWO_CARDS)
    assert report.devices_found == 2
    assert [device.pci_bus_id for device in report.devices] == ["0000:01:00.0", "0000:0a:00.0"]
    assert [part.device for part in report.buffers] == ["CUDA0", "CUDA1", "CPU_Mapped", "CUDA_Host"]
    first, second = report.buffers[0], report.buffers[1]
    assert (first.weights_mib, first.context_mib, first.compute_mib) == (7146.20, 1088.00 + 76.50, 301.75)
    assert first.projector_mib == 1100.0 + 140.5
    assert second.context_mib == pytest.approx(1632.00 + 82.88 + 62.81)
    assert report.pipeline_dropped
    assert report.pipeline_copies == 1
    assert report.forecast[0].weights_mib == 7146


def test_that_a_second_reserve_replaces_the_compute_figures() -> None:
    again = "I sched_reserve: reserving ...\nI sched_reserve:      CUDA0 compute buffer size =   150.00 MiB\n"
    report = report_of(TWO_CARDS + again)
    assert report.buffers[0].compute_mib == 150.0


def test_that_a_draft_model_adds_to_the_main_model() -> None:
    draft = (
        "I load_tensors:        CUDA0 model buffer size =   500.00 MiB\n"
        "I llama_context: constructing llama_context\n"
        "I llama_kv_cache:      CUDA0 KV buffer size =   100.00 MiB\n"
        "I sched_reserve: reserving ...\n"
        "I sched_reserve:      CUDA0 compute buffer size =    50.00 MiB\n"
    )
    lines = TWO_CARDS.splitlines(keepends=True)
    before_projector = next(n for n, line in enumerate(lines) if "clip_model_loader" in line)
    first = report_of("".join([*lines[:before_projector], draft, *lines[before_projector:]])).buffers[0]
    assert first.weights_mib == pytest.approx(7646.20)
    assert first.context_mib == pytest.approx(1264.50)
    assert first.compute_mib == pytest.approx(351.75)


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ("ggml_cuda_init: found 2 CUDA devices:", facts.DevicesFound(2, "CUDA")),
        ("ggml_vulkan: Found 1 Vulkan devices:", facts.DevicesFound(1, "Vulkan")),
        (
            "warning: no usable GPU found, --gpu-layers option will be ignored",
            facts.GpuUnavailable("no usable GPU found"),
        ),
        (
            "ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected",
            facts.GpuUnavailable("no CUDA-capable device is detected"),
        ),
        (
            "llama_model_load_from_file_impl: using device CUDA0 (NVIDIA GeForce RTX 3060) - 11800 MiB free",
            facts.DeviceUsed("CUDA0", "NVIDIA GeForce RTX 3060", None, 11800),
        ),
        (
            "  CUDA0: NVIDIA GeForce RTX 3060 (12059 MiB, 11800 MiB free)",
            facts.DeviceListed("CUDA0", "NVIDIA GeForce RTX 3060", 12059, 11800),
        ),
        (
            "llm_load_tensors:      CUDA0 buffer size =  9012.34 MiB",
            facts.BufferAllocated("CUDA0", BufferKind.WEIGHTS, 9012.34),
        ),
        (
            "alloc_compute_meta:      CUDA0 compute buffer size =   248.10 MiB",
            facts.BufferAllocated("CUDA0", BufferKind.PROJECTOR, 248.10),
        ),
        ("llama_context: pipeline parallelism enabled (n_copies=4)", facts.PipelineCopies(4)),
        (
            "main: server is listening on http://127.0.0.1:8080 - starting the main loop",
            facts.Listening("http://127.0.0.1:8080"),
        ),
        ("main: HTTP server is listening, hostname: 127.0.0.1, port: 8080, http threads: 7", None),
        ("main: model loaded", facts.ModelLoaded()),
        ("slot         init: id  0 | task -1 | new slot n_ctx_slot = 4096", facts.ContextSize(4096)),
        ("image slice encoded in 45 ms", facts.ImageEncoded(45.0)),
        (
            "I common_params_fit_impl: context size reduced from 262144 to 81920 -> need 2048 MiB less memory in total",
            facts.ContextShrunk(262144, 81920),
        ),
        (
            "I slot print_timing: id  0 | task 7 | n_gen =   2156, tg = 717.69 t/s, tg_3s = 718.02 t/s",
            facts.SpeedSaid(0, 7, Phase.GENERATION, 2156, 718.02),
        ),
        (
            "slot x: id  1 | task 9 | prompt processing, n_tokens = 3506, progress = 0.87, t =   4.97 s / 5.75 tokens",
            facts.SpeedSaid(1, 9, Phase.PREFILL, 3506, 5.75, 0.87),
        ),
        (
            "I slot print_timing: id  0 | task 0 | prompt eval time =     283.65 ms /    37 tokens (    7.67 ms",
            facts.PhaseTimed(0, 0, Phase.PREFILL, 37, 283.65),
        ),
        (
            "I slot print_timing: id  0 | task 0 |        eval time =    4970.92 ms /    86 tokens (   58.48 ms",
            facts.PhaseTimed(0, 0, Phase.GENERATION, 86, 4970.92),
        ),
        ("I using config file: /etc/llama.cpp/config.ini", facts.ConfigFileUsed("/etc/llama.cpp/config.ini")),
        (
            'cmd_child_to_router:state:{"state":"loading","payload":{"stages":["text_model"],"value":0.42}}',
            facts.LoadProgress(0.42),
        ),
        ('cmd_child_to_router:state:{"state":"ready"}', None),
        ("cmd_child_to_router:state:{garbage", None),
        ("error: invalid argument: --no-mmap", facts.ErrorSaid("error: invalid argument: --no-mmap")),
        ("0.00.001.483 W DEPRECATED: argument '-c' twice", facts.WarningSaid("DEPRECATED: argument '-c' twice")),
        ("0.00.254.465 I print_info: n_ctx_train           = 8192", None),
        ("", None),
    ],
)
def test_that_lines_of_all_ages_say_what_they_mean(line: str, fact: Fact | None) -> None:
    assert parse(line) == fact


def test_that_colour_time_stamp_and_level_make_no_difference() -> None:
    bare = "load_tensors:        CUDA0 model buffer size =  7146.20 MiB"
    dressed = f"\x1b[34m12.04.000.003\x1b[0m \x1b[32mI {bare}\x1b[0m\r\n"
    assert parse(bare) == parse(f"I {bare}") == parse(dressed) == parse(f"0.02.000.003 I {bare}")
    assert split_line(dressed).at_ms == 724_000.003
    assert split_line(dressed).level == "I"
    assert split_line(bare).level is None


def test_that_text_of_a_chat_template_is_no_fact() -> None:
    assert parse("You are a helpful assistant<|im_end|>") is None
    assert parse("\ttop_k = 40, top_p = 0.950, min_p = 0.050") is None


def test_that_the_time_of_a_picture_is_encoding_and_decoding_together() -> None:
    timer = ImageTimer()
    lines = [
        "0.01.000.000 I slot encode_mtmd_: id  0 | task 0 | encoding mtmd batch from idx = 10, n_chunks = 1",
        "0.01.250.000 I decoding image batch 1/2, n_tokens_batch = 512",
        "0.01.350.000 I image decoded (batch 1/2) in 100 ms",
        "0.01.350.000 I decoding image batch 2/2, n_tokens_batch = 64",
        "0.01.370.000 I image decoded (batch 2/2) in 20 ms",
    ]
    assert [timer.add(fact) for line in lines if (fact := parse(line))] == [None, None, None, None, 370.0]


def test_that_a_picture_in_a_real_log_is_timed() -> None:
    timer = ImageTimer()
    found = [timer.add(fact) for line in recorded("log_vision.txt").splitlines() if (fact := parse(line))]
    assert [ms for ms in found if ms is not None] == [pytest.approx(0.483)]


def test_that_a_builds_own_figures_for_a_picture_are_taken_as_they_are() -> None:
    timer = ImageTimer()
    lines = ["encoding image slice...", "image slice encoded in 45 ms", "decoding image batch 1/1, n_tokens_batch = 16"]
    assert [timer.add(fact) for line in lines if (fact := parse(line))] == [None, None, None]
    done = parse("image decoded (batch 1/1) in 5 ms")
    assert done is not None
    assert timer.add(done) == 50.0
