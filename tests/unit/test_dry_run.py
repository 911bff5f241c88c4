"""The exact check: what is run, what is refused, and that nothing of it stays, whatever happens."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.support.forecast_rows import DATA, unpack_headers
from tests.support.waiting import run_async, wait_until
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.command import Command, child_environment
from variet_gui.engine.binary import EngineBinary, embedded_engine
from variet_gui.engine.dry_run import DryRun, DryRunError, dry_argv, may_run, measure
from variet_gui.engine.probe import probe
from variet_gui.i18n import msg

NEWEST = Capabilities(frozenset({"-lv", "--no-log-prefix", "--log-jsonl", "--fit"}), build=11434)
MAY = Capabilities(frozenset({"-lv", "--fit"}), build=9093)
BEFORE_FIT = Capabilities(frozenset({"-lv", "-c"}), build=6900)

EVENT = (
    '{"type":"fit_memory_breakdown","data":{"rows":[{"kind":"device","name":"CUDA0","description":"x","total":9,'
    '"free":8,"model":3,"context":2,"compute":1},{"kind":"host","name":"Host","model":1,"context":0,"compute":0}]}}'
)
TELL = f"open(sys.argv[0] + '.argv', 'w').write(repr(sys.argv[1:])); print('''{EVENT}''', flush=True); "


def script(folder: Path, body: str) -> EngineBinary:
    path = folder / "llama-server"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n", encoding="utf-8")
    path.chmod(0o700)
    return EngineBinary((str(path),), path, embedded=False, source=msg("a test"))


def measured(
    binary: EngineBinary, *flags: str, capabilities: Capabilities | None = NEWEST, limit_s: float = 30
) -> DryRun:
    command = Command((*binary.program, "--port", "8080", *flags), {}, program_words=len(binary.program))
    environment = child_environment(os.environ, command)
    return run_async(measure(command, environment, binary, capabilities, limit_s=limit_s))


def refusal(binary: EngineBinary, *flags: str, capabilities: Capabilities | None = NEWEST, limit_s: float = 30) -> str:
    with pytest.raises(DryRunError) as refused:
        measured(binary, *flags, capabilities=capabilities, limit_s=limit_s)
    return refused.value.message.english


def said_argv(binary: EngineBinary) -> str:
    return Path(f"{binary.path}.argv").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------ what is run


def test_that_the_launchs_own_flags_are_run_on_another_port_with_the_log_that_tells_most() -> None:
    argv = ("srv", "-lv", "4", "--offline", "--port", "8081", "-m", "a.gguf", "-c", "4096", "--log-file", "x", "-v")
    assert dry_argv(argv, 4711, NEWEST) == (
        "srv", "-lv", "4", "--log-jsonl", "--offline", "-m", "a.gguf", "-c", "4096", "--port", "4711", "--fit", "on",
    )  # fmt: skip


def test_that_fit_is_switched_on_because_nothing_is_counted_without() -> None:
    assert dry_argv(("srv", "-fit", "off", "-c", "1"), 1, NEWEST)[-4:] == ("--port", "1", "--fit", "on")
    assert "off" not in dry_argv(("srv", "--fit", "off"), 1, NEWEST)


def test_that_an_older_build_is_asked_in_its_own_words() -> None:
    assert dry_argv(("srv", "-c", "1"), 1, MAY) == ("srv", "-c", "1", "--port", "1", "--fit", "on")


def test_that_the_words_of_the_program_stay_in_front() -> None:
    assert dry_argv(("python", "-m", "engine", "-c", "1"), 1, MAY, 3)[:5] == ("python", "-m", "engine", "-c", "1")


def test_that_what_is_told_first_is_returned_and_the_server_is_gone(tmp_path: Path) -> None:
    binary = script(tmp_path, TELL + "time.sleep(1000)")
    found = measured(binary, "-c", "4096")
    assert [(device.name, device.buffers_mib) for device in found.devices] == [("CUDA0", 6)]
    assert found.device("CUDA0") is found.devices[0]
    assert found.device("CUDA1") is None
    assert found.host.weights_mib == 1
    assert found.build == 11434
    assert found.notes == ()
    assert "'4096'" in said_argv(binary)
    assert "8080" not in said_argv(binary)


def test_that_a_server_that_ends_by_itself_right_afterwards_has_told_all_the_same(tmp_path: Path) -> None:
    assert measured(script(tmp_path, TELL)).devices[0].weights_mib == 3


def test_that_the_projector_is_said_to_be_missing_from_the_figures(tmp_path: Path) -> None:
    found = measured(script(tmp_path, TELL + "time.sleep(1000)"), "--mmproj", "eyes.gguf")
    assert found.projector
    assert "projector" in found.notes[0].english


def test_that_a_second_context_is_waited_for_and_told_when_missing(tmp_path: Path) -> None:
    begun = "print('common_params_fit_impl: getting device memory data for the extra model at a context size of 1:');"
    both = script(tmp_path, TELL + begun + f"print('''{EVENT}''', flush=True); time.sleep(1000)")
    found = measured(both, "--spec-type", "draft-mtp")
    assert found.second is not None
    assert found.second.devices[0].context_mib == 2
    ended = "print('common_fit_params: successfully fit params to free device memory', flush=True); time.sleep(1000)"
    alone = script(tmp_path, TELL + ended)
    found = measured(alone, "--spec-type", "draft-mtp")
    assert found.second is None
    assert "second context" in found.notes[0].english


# -------------------------------------------------------------------------------------------------- what is refused


def test_that_a_build_that_cannot_tell_is_named_and_not_even_started(tmp_path: Path) -> None:
    binary = script(tmp_path, TELL)
    assert "(b6900) does not count its memory before it loads" in refusal(binary, capabilities=BEFORE_FIT)
    assert not Path(f"{binary.path}.argv").exists()


def test_that_split_tensors_are_refused_before_a_start(tmp_path: Path) -> None:
    binary = script(tmp_path, TELL)
    assert "split mode tensor" in refusal(binary, "-sm", "tensor")
    assert not Path(f"{binary.path}.argv").exists()


def test_that_a_server_that_loads_without_a_word_is_ended_at_once(tmp_path: Path) -> None:
    loads = "print('0.00.1 I print_info: no_alloc              = 0', flush=True); time.sleep(1000)"
    text = refusal(script(tmp_path, loads))
    assert "did not say what it would take" in text
    assert "b11434" in text


def test_that_a_failed_trial_is_explained_by_its_own_words(tmp_path: Path) -> None:
    said = "llama_init_from_model: quantized V cache requires flash_attn to be enabled"
    ended = "common_fit_params: encountered an error while trying to fit params to free device memory: failed"
    binary = script(tmp_path, f"print('0.01 E {said}'); print('0.02 E {ended}', flush=True); time.sleep(1000)")
    assert refusal(binary) == "A compressed V cache needs flash attention."


def test_that_a_card_without_room_for_a_context_is_named(tmp_path: Path) -> None:
    lines = "CUDA error: out of memory\\n  current device: 1, in function ggml_cuda_set_device at x.cu:1"
    text = refusal(script(tmp_path, f"print('''{lines}''', file=sys.stderr); os.abort()"))
    assert "GPU 1" in text


def test_that_a_silent_server_is_given_up(tmp_path: Path) -> None:
    assert "within 1 s" in refusal(script(tmp_path, "time.sleep(1000)"), limit_s=1)


def test_that_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "llama-server"
    binary = EngineBinary((str(missing),), missing, embedded=False, source=msg("a test"))
    assert str(missing) in refusal(binary)


def test_that_nothing_is_left_when_the_slider_moves_on(tmp_path: Path) -> None:
    binary = script(tmp_path, "open(sys.argv[0] + '.argv', 'w').close(); time.sleep(1000)")
    command = Command((*binary.program, "-c", "1"), {})

    async def scenario() -> None:
        checking = asyncio.ensure_future(measure(command, dict(os.environ), binary, NEWEST))
        await wait_until(Path(f"{binary.path}.argv").exists, what="the start of the program")
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking

    run_async(scenario())


# ------------------------------------------------------------------------------------------- when it may not be run


def test_that_a_check_needs_room_for_a_context_on_every_card_and_some_more() -> None:
    assert may_run([("GPU 0", 600.0), ("GPU 1", None)], 330.0) is None
    refused = may_run([("GPU 0", 6000.0), ("GPU 1", 579.0)], 330.0)
    assert refused is not None
    assert refused.english.startswith("GPU 1 has 579 MiB free; the exact check needs 580 MiB there")


def test_that_a_worker_that_serves_a_tier_is_not_asked() -> None:
    busy = {"10.0.0.2:50052": "fast"}
    assert may_run([], 330.0, rpc="10.0.0.1:50052", workers_in_use=busy) is None
    refused = may_run([], 330.0, rpc="10.0.0.1:50052, 10.0.0.2:50052", workers_in_use=busy)
    assert refused is not None
    assert refused.english == "The worker at 10.0.0.2:50052 serves fast, and it serves one program at a time."


# ------------------------------------------------------------------------------------------------------ real engines


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 17 GB of which nothing but the header is there."""
    folder = unpack_headers(DATA / "forecast_headers.tar.gz", tmp_path_factory.mktemp("headers"))
    path = folder / "gemma26-Q4_K_M.gguf"
    with path.open("r+b") as file:
        file.truncate(18 * 2**30)
    return path


def asked(binary: EngineBinary, *flags: str) -> DryRun:
    return measured(binary, *flags, capabilities=run_async(probe(binary)))


def test_that_the_real_server_tells_of_a_model_without_weights(real_llama_server: Path, gemma: Path) -> None:
    binary = EngineBinary((str(real_llama_server),), real_llama_server, embedded=False, source=msg("a test"))
    found = asked(binary, "-m", str(gemma), "-c", "262144", "-np", "1", "-ctk", "q8_0", "-ctv", "q8_0")
    assert found.devices == ()
    assert found.host.context_mib == 2879  # 5 layers of 262144 cells, and 25 of 1536
    assert found.host.compute_mib > 0


def test_that_the_embedded_engine_tells_the_same(gemma: Path) -> None:
    found = asked(embedded_engine(), "-m", str(gemma), "-c", "262144", "-np", "1", "-ctk", "q8_0", "-ctv", "q8_0")
    assert found.devices == ()
    assert found.host.context_mib == 2879


def test_that_a_file_that_is_no_model_is_named_by_the_real_server(real_llama_server: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.gguf"
    page.write_text("<html>not found</html>", encoding="utf-8")
    binary = EngineBinary((str(real_llama_server),), real_llama_server, embedded=False, source=msg("a test"))
    with pytest.raises(DryRunError) as refused:
        asked(binary, "-m", str(page))
    assert str(page) in refused.value.message.english
