"""Two devices without a GPU: real RPC workers hold what the forecast says, loaded and asked beforehand alike."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.support.forecast_rows import DATA, SHARED, profile_of, unpack_headers
from tests.support.rpc_workers import RpcWorkers, free_ports
from tests.support.waiting import run_async
from variet_gui.catalog.command import Command, child_environment
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.breakdown import MeasuredDevice
from variet_gui.engine.devices import EngineDevice, list_devices
from variet_gui.engine.dry_run import measure
from variet_gui.engine.load_report import LoadReport
from variet_gui.engine.log_parser import parse
from variet_gui.engine.probe import probe
from variet_gui.engine.short_run import short_run
from variet_gui.events import DeviceBuffers
from variet_gui.forecast.placement import gpu_layer_count, placement
from variet_gui.forecast.vram import Device, Forecast, forecast
from variet_gui.gguf.header import GgufHeader, read_header
from variet_gui.i18n import msg

pytestmark = pytest.mark.engine

MODELS = ("gemma26-Q4_K_M", "gemma31-Q4_K_M", "qwen27-Q4_K_M", "qwen35b-Q4_K_M", "qwen122-Q4_K_M")
SETTINGS = (
    "-c 8192 -np 1",
    "-c 262144 -np 1 -ts 0.43,0.57 -ctk q8_0 -ctv q8_0 -ub 256",
    "-c 32768 -np 4 -kvu -ts 3,1 -ctk q4_0 -ctv f16 -device RPC1,RPC0",
)
BUFFER_MIB = 0.01
"""The server's own lines are rounded to a hundredth."""
COMPUTE_MIB = 0.05
"""A worker aligns to 32 bytes and the forecast to 128."""
_LAYER = re.compile(r"load_tensors: layer +(\d+) assigned to device (\S+?),")


@pytest.fixture(scope="module")
def engine(real_llama_server: Path) -> EngineBinary:
    return EngineBinary((str(real_llama_server),), real_llama_server, embedded=False, source=msg("a test"))


@pytest.fixture(scope="module")
def header_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of up to 74 GB of which nothing but the headers is on the disk."""
    folder = tmp_path_factory.mktemp("headers")
    archive = SHARED / "headers.tgz"
    if archive.exists():
        subprocess.run(["tar", "-S", "-xzf", archive, "-C", folder], check=True)
        return folder
    unpack_headers(DATA / "forecast_headers.tar.gz", folder)
    for name in MODELS:
        path = folder / f"{name}.gguf"
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size + sum(tensor.n_bytes + 32 for tensor in read_header(path).tensors))
    return folder


def forecast_for(
    header: GgufHeader, flags: Sequence[str], devices: Sequence[EngineDevice], *, dry_run: bool
) -> Forecast:
    seen = [Device(device.name, float(device.free_mib)) for device in devices]
    return forecast(header, profile_of(flags), seen, dry_run=dry_run)


async def asked(engine: EngineBinary, addresses: str, model: Path, flags: Sequence[str]) -> tuple[MeasuredDevice, ...]:
    argv = (*engine.program, "--rpc", addresses, "-m", str(model), *flags)
    command = Command(argv, {})
    found = await measure(command, child_environment(os.environ, command), engine, await probe(engine))
    assert found.devices
    return found.devices


def differences(found: Sequence[MeasuredDevice], expected: Forecast) -> Iterator[str]:
    """Yield what llama-server counts otherwise; its figures are cut to whole MiB."""
    ours = {device.name: device for device in expected.devices}
    for device in found:
        part = ours[device.name]
        pairs = (
            ("weights", device.weights_mib, part.weights_mib),
            ("context", device.context_mib, part.context_mib),
            ("compute", device.compute_mib, part.compute_mib),
        )
        for term, told, known in pairs:
            if known is not None and not told <= known + COMPUTE_MIB * (term == "compute") < told + 1.1:
                yield f"{device.name} {term}: {told} MiB, forecast {known:.2f}"
    assert [device.name for device in found] == list(ours)


# ------------------------------------------------------------------------------------------------------- a real load


async def loaded(engine: EngineBinary, addresses: str, model: Path, flags: Sequence[str]) -> LoadReport:
    """Load `model`, read what the server says of its buffers, and end it."""
    report = LoadReport()
    port = free_ports(1)[0]
    argv = [*engine.program, "-lv", "4", "--offline", "--host", "127.0.0.1", "--port", str(port), "--rpc", addresses]
    environment = child_environment(os.environ, Command((), {"GGML_NO_BACKTRACE": "1"}))
    async with (
        short_run([*argv, "-m", str(model), *flags], environment, remote=True) as run,
        aclosing(run.lines()) as lines,
    ):
        async for line in lines:
            fact = parse(line)
            if fact is not None:
                report.add(fact)
            if report.url is not None and report.model_loaded:
                return report
    raise AssertionError("the server did not come up")


@pytest.mark.parametrize("flags", ["-c 4096 -np 1 -ts 1,2", "-c 8192 -np 2 -ts 3,1 -ctk q8_0 -ctv q8_0 -ub 256"])
def test_that_two_workers_hold_what_the_forecast_says(
    engine: EngineBinary, demo_model: Path, tmp_path: Path, flags: str
) -> None:
    words = flags.split()

    async def scenario() -> tuple[LoadReport, tuple[EngineDevice, ...]]:
        assert engine.path is not None
        async with RpcWorkers.of(engine.path, 2, tmp_path) as workers:
            devices = await list_devices(engine, rpc=workers.addresses)
            return await loaded(engine, workers.addresses, demo_model, words), devices

    report, devices = run_async(scenario(), timeout_s=90)
    expected = forecast_for(read_header(demo_model), words, devices, dry_run=False)
    held = {buffers.device: buffers for buffers in report.buffers}
    assert [device.name for device in report.devices] == ["RPC0", "RPC1"]
    for device in expected.devices:
        told = held.get(device.name, DeviceBuffers(device.name))
        assert told.weights_mib == pytest.approx(device.weights_mib, abs=BUFFER_MIB)
        assert told.context_mib == pytest.approx(device.context_mib, abs=BUFFER_MIB)
        assert told.compute_mib == pytest.approx(device.compute_mib, abs=COMPUTE_MIB)


# ----------------------------------------------------------------------------------------------- asked, without a load


@pytest.mark.parametrize("name", MODELS)
def test_that_the_server_counts_a_model_without_weights_as_the_forecast_does(
    engine: EngineBinary, header_files: Path, tmp_path: Path, name: str
) -> None:
    model = header_files / f"{name}.gguf"
    header = read_header(model)

    async def scenario() -> list[str]:
        assert engine.path is not None
        found = []
        async with RpcWorkers.of(engine.path, 2, tmp_path) as workers:
            devices = await list_devices(engine, rpc=workers.addresses)
            for flags in SETTINGS:
                words = flags.replace("-device", "--device").split()
                told = await asked(engine, workers.addresses, model, words)
                expected = forecast_for(header, words, devices, dry_run=True)
                found += [f"{flags}: {text}" for text in differences(told, expected)]
        return found

    assert run_async(scenario(), timeout_s=90) == []


@pytest.mark.parametrize("flags", ["-ts 13,17", "-ts 1,0", "-ts 2,3,1 -ngl 20", "-ngl 5"])
def test_that_every_layer_is_where_the_forecast_puts_it(
    engine: EngineBinary, header_files: Path, tmp_path: Path, flags: str
) -> None:
    model = header_files / "qwen35b-Q4_K_M.gguf"
    words = flags.split()
    values = profile_of(words).values

    async def scenario() -> dict[int, str]:
        assert engine.path is not None
        places: dict[int, str] = {}
        async with RpcWorkers.of(engine.path, 3, tmp_path) as workers:
            argv = [*engine.program, "-lv", "5", "--rpc", workers.addresses, "--port", str(free_ports(1)[0])]
            async with (
                short_run([*argv, "-m", str(model), "-c", "4096", *words], os.environ, remote=True) as run,
                aclosing(run.lines()) as lines,
            ):
                async for line in lines:
                    if (match := _LAYER.search(line)) is not None:
                        places[int(match[1])] = match[2]
                    elif len(places) > 40 and "load_tensors" not in line:
                        break
        return places

    told = run_async(scenario(), timeout_s=90)
    split = values.get("tensor_split")
    ratio = [float(part) for part in split] if isinstance(split, tuple | list) else None
    placed = placement(40, gpu_layer_count(values.get("n_gpu_layers")), ratio, [1.0, 1.0, 1.0])
    expected = [*placed.layer_device, placed.output_device]
    assert [told[layer] for layer in range(41)] == ["CPU" if where is None else f"RPC{where}" for where in expected]


def drawn(rng: random.Random, workers: int) -> list[str]:
    """Return settings as people might have them, and some that hardly anybody has."""
    words = ["-c", str(rng.choice((512, 1000, 4096, 20000, 65536, 262144))), "-np", str(rng.choice((1, 1, 2, 4)))]
    words += rng.choice(([], ["-kvu"]))
    words += rng.choice(([], ["-ub", str(rng.choice((64, 100, 256, 1024)))]))
    kind = rng.choice(("f16", "q8_0", "q4_0", "bf16", "q5_1", "f32"))
    words += ["-ctk", kind, "-ctv", rng.choice((kind, "f16"))]
    words += rng.choice(([], ["--swa-full"], ["-ot", "zzz=CPU"], ["-ot", "token_embd=CPU"]))
    words += ["-ts", ",".join(str(rng.choice((0.5, 1, 2, 3, 7, 13))) for _ in range(workers))]
    words += rng.choice(([], [], ["-ngl", "20"], ["-ngl", "1"], ["-sm", "none", "-mg", "1"]))
    return words


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_that_settings_drawn_at_random_are_counted_alike(
    engine: EngineBinary, header_files: Path, demo_model: Path, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    models = [demo_model, *(header_files / f"{name}.gguf" for name in MODELS)]

    async def scenario() -> list[str]:
        assert engine.path is not None
        found = []
        async with RpcWorkers.of(engine.path, 3, tmp_path) as workers:
            devices = await list_devices(engine, rpc=workers.addresses)
            for _ in range(16):
                model, words = rng.choice(models), drawn(rng, 3)
                told = await asked(engine, workers.addresses, model, words)
                expected = forecast_for(read_header(model), words, devices, dry_run=True)
                texts = [text for text in differences(told, expected) if "compute" not in text]
                found += [f"{model.stem} {' '.join(words)}: {text}" for text in texts]
        return found

    assert run_async(scenario(), timeout_s=110) == []
