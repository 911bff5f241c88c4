"""What a llama-server says of its devices: recorded texts, real engines, programs that misbehave, what is kept."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.rpc_workers import RpcWorkers
from tests.support.waiting import run_async, wait_until
from variet_gui.engine import devices as devices_module
from variet_gui.engine.binary import EngineBinary, embedded_engine
from variet_gui.engine.devices import DevicesError, EngineDevice, list_devices, parse_devices
from variet_gui.i18n import msg

TWO_CARDS = """\
ggml_cuda_init: found 2 CUDA devices (Total VRAM: 24118 MiB):
  Device 0: NVIDIA GeForce RTX 3060, compute capability 8.6, VMM: yes, VRAM: 12059 MiB
  Device 1: NVIDIA GeForce RTX 3060, compute capability 8.6, VMM: yes, VRAM: 12059 MiB
Available devices:
  CUDA0: NVIDIA GeForce RTX 3060 (12059 MiB, 11800 MiB free)
  CUDA1: NVIDIA GeForce RTX 3060 (12059 MiB, 11906 MiB free)
"""


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    devices_module._remembered.clear()
    yield
    devices_module._remembered.clear()


def script(folder: Path, body: str) -> EngineBinary:
    path = folder / "llama-server"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n", encoding="utf-8")
    path.chmod(0o700)
    return EngineBinary((str(path),), path, embedded=False, source=msg("a test"))


def of_file(path: Path) -> EngineBinary:
    return EngineBinary((str(path),), path, embedded=False, source=msg("a test"))


def refusal(binary: EngineBinary, rpc: str | None = None) -> str:
    with pytest.raises(DevicesError) as refused:
        run_async(list_devices(binary, rpc=rpc))
    return refused.value.message.english


def test_that_cards_are_read_amid_what_the_back_end_says() -> None:
    assert parse_devices(TWO_CARDS.splitlines()) == (
        EngineDevice("CUDA0", "NVIDIA GeForce RTX 3060", 12059, 11800),
        EngineDevice("CUDA1", "NVIDIA GeForce RTX 3060", 12059, 11906),
    )


@pytest.mark.parametrize("text", ["Available devices:\n  (none)\n", "Available devices:\n", "Available devices:\r\n"])
def test_that_no_device_is_read_from_new_and_old_builds_alike(text: str) -> None:
    assert parse_devices(text.splitlines()) == ()


@pytest.mark.parametrize(
    ("line", "device"),
    [
        (
            "  RPC0: 127.0.0.1:50052 (24105 MiB, 24100 MiB free)",
            EngineDevice("RPC0", "127.0.0.1:50052", 24105, 24100),
        ),
        (
            "  RPC[192.168.0.2:50052]: RPC[192.168.0.2:50052] (8192 MiB, 8000 MiB free)",
            EngineDevice("RPC[192.168.0.2:50052]", "RPC[192.168.0.2:50052]", 8192, 8000),
        ),
        (
            "  Vulkan0: AMD Radeon RX 7900 XTX (RADV NAVI31) (24560 MiB, 24000 MiB free)",
            EngineDevice("Vulkan0", "AMD Radeon RX 7900 XTX (RADV NAVI31)", 24560, 24000),
        ),
        (
            "  CUDA0: NVIDIA GeForce RTX 3060 (0000:0A:00.0) (12059 MiB, 11800 MiB free)",
            EngineDevice("CUDA0", "NVIDIA GeForce RTX 3060", 12059, 11800, "0000:0a:00.0"),
        ),
    ],
)
def test_that_other_kinds_of_devices_are_read(line: str, device: EngineDevice) -> None:
    assert parse_devices(["Available devices:", line]) == (device,)


def test_that_an_accelerator_without_memory_of_its_own_is_no_device() -> None:
    assert parse_devices(["Available devices:", "  BLAS: OpenBLAS (0 MiB, 0 MiB free)"]) == ()


def test_that_a_text_without_the_list_is_not_an_empty_list() -> None:
    assert parse_devices(["  CUDA0: NVIDIA GeForce RTX 3060 (12059 MiB, 11800 MiB free)"]) is None


def test_that_the_real_server_without_a_gpu_lists_none(real_llama_server: Path) -> None:
    assert run_async(list_devices(of_file(real_llama_server))) == ()


def test_that_the_real_server_lists_remote_devices_by_address(real_llama_server: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with RpcWorkers.of(real_llama_server, 2, tmp_path) as workers:
            found = await list_devices(of_file(real_llama_server), rpc=workers.addresses)
            assert [device.name for device in found] == ["RPC0", "RPC1"]
            assert ",".join(device.description for device in found) == workers.addresses
            assert all(device.total_mib >= device.free_mib > 0 for device in found)

    run_async(scenario())


def test_that_a_remote_device_that_does_not_answer_is_named(real_llama_server: Path) -> None:
    assert refusal(of_file(real_llama_server), "127.0.0.1:9") == "The remote device at 127.0.0.1:9 does not answer."


def test_that_the_embedded_engine_answers_and_sees_no_gpu() -> None:
    assert run_async(list_devices(embedded_engine())) == ()


def test_that_the_embedded_engine_refuses_remote_devices_in_words() -> None:
    assert "--rpc" in refusal(embedded_engine(), "127.0.0.1:50052")


COUNTED = """
with open(sys.argv[0] + ".count", "a") as count:
    count.write(".")
print("Available devices:")
print(f"  CUDA0: card {os.environ.get('CUDA_VISIBLE_DEVICES')} of {sys.argv[1:]} (100 MiB, 90 MiB free)")
"""


def times_run(binary: EngineBinary) -> int:
    assert binary.path is not None
    return len(Path(f"{binary.path}.count").read_text(encoding="utf-8"))


def test_that_an_answer_is_remembered_for_the_same_file_environment_and_workers(tmp_path: Path) -> None:
    binary = script(tmp_path, COUNTED)
    one, other = {"CUDA_VISIBLE_DEVICES": "0", "HOME": "a"}, {"CUDA_VISIBLE_DEVICES": "1", "HOME": "a"}

    async def scenario() -> None:
        first = await list_devices(binary, environment=one)
        assert await list_devices(binary, environment={**one, "HOME": "b"}) == first
        assert times_run(binary) == 1
        assert await list_devices(binary, environment=other) != first
        assert await list_devices(binary, environment=one, rpc="a:1") != first
        assert times_run(binary) == 3
        await list_devices(binary, environment=one, fresh=True)
        assert times_run(binary) == 4
        assert binary.path is not None
        binary.path.write_text(binary.path.read_text(encoding="utf-8") + "\n# newer\n", encoding="utf-8")
        await list_devices(binary, environment=one)
        assert times_run(binary) == 5

    run_async(scenario())


def test_that_settings_for_llama_server_do_not_slip_in_through_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_ARG_RPC", "10.0.0.1:50052")
    telling = (
        "print('Available devices:'); print('  X0: ' + str('LLAMA_ARG_RPC' in os.environ) + ' (1 MiB, 1 MiB free)')"
    )
    assert run_async(list_devices(script(tmp_path, telling)))[0].description == "False"


def test_that_a_program_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "llama-server"
    assert refusal(of_file(missing)) == f"The program {missing} was not found. Choose another llama-server."


def test_that_a_build_that_does_not_know_the_question_says_so(tmp_path: Path) -> None:
    old = script(tmp_path, "print('error: invalid argument: --list-devices', file=sys.stderr); sys.exit(1)")
    assert "--list-devices" in refusal(old)


def test_that_a_program_that_says_something_else_is_no_empty_list(tmp_path: Path) -> None:
    other = script(tmp_path, "print('hello')")
    assert refusal(other) == f"{other.path} does not list its devices."


def test_that_a_list_that_never_ends_is_given_up_and_its_program_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices_module, "_LONGEST_RUN_S", 1.0)
    assert "within 1 s" in refusal(script(tmp_path, "time.sleep(1000)"))


def test_that_nothing_is_left_when_nobody_wants_the_answer_any_more(tmp_path: Path) -> None:
    binary = script(tmp_path, "open(sys.argv[0] + '.count', 'w').close(); time.sleep(1000)")

    async def scenario() -> None:
        asking = asyncio.ensure_future(list_devices(binary))
        await wait_until(Path(f"{binary.path}.count").exists, what="the start of the program")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    run_async(scenario())
