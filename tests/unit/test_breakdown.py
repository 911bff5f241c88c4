"""Reading what llama-server says of its memory beforehand: recorded lines of new and old builds."""

from __future__ import annotations

import json
from pathlib import Path

from variet_gui.engine.breakdown import BreakdownReader, MeasuredDevice

DATA = Path(__file__).parent / "data"
TWO_CARDS = {
    "type": "fit_memory_breakdown",
    "data": {
        "unit": "MiB",
        "rows": [
            {
                "kind": "device", "name": "CUDA0", "description": "RTX 3060", "total": 12059, "free": 11800,
                "self": 10495, "model": 7146, "context": 1164, "compute": 2185, "unaccounted": -10236,
            },
            {
                "kind": "device", "name": "CUDA1", "description": "RTX 3060", "total": 12059, "free": 11906,
                "self": 12728, "model": 8856, "context": 1714, "compute": 2158, "unaccounted": -12575,
            },
            {"kind": "host", "name": "Host", "self": 1667, "model": 577, "context": 0, "compute": 1090},
            {"kind": "buffer_type", "name": "CPU_REPACK", "self": 12, "model": 12, "context": 0, "compute": 0},
        ],
    },
}  # fmt: skip
_ROWS = """\
| memory breakdown [MiB] | total   free    self   model   context   compute    unaccounted |
|   - CUDA0 (RTX 4090)   | 24077 =  945 + (19187 = 17904 +     384 +     898) +        3945 |
|   - Host               |                 58271 = 58259 +       0 +      12                |
|   - CPU_REPACK         |                     3 =     1 +       2 +       0                |
"""
TABLE = "".join(f"llama_memory_breakdown_print: {row}\n" for row in _ROWS.splitlines())


def event(**changes: object) -> str:
    return json.dumps({**TWO_CARDS, **changes})


def said(text: str, level: str = "info") -> str:
    return json.dumps({"type": "log", "time": 1, "level": level, "msg": f"{text}\n"})


def read(*lines: str) -> BreakdownReader:
    reader = BreakdownReader()
    for line in lines:
        reader.add(line)
    return reader


def test_that_the_event_is_read_as_it_is_told() -> None:
    first = read(said("srv  llama_server: initializing ..."), event()).first
    assert first is not None
    assert first.devices == (
        MeasuredDevice("CUDA0", "RTX 3060", 12059, 11800, 7146, 1164, 2185),
        MeasuredDevice("CUDA1", "RTX 3060", 12059, 11906, 8856, 1714, 2158),
    )
    assert first.devices[0].buffers_mib == 7146 + 1164 + 2185
    assert first.host == MeasuredDevice("Host", "", None, None, 577, 0, 1090)
    assert [other.name for other in first.others] == ["CPU_REPACK"]


def test_that_the_table_of_an_older_build_says_the_same_kind_of_thing() -> None:
    first = read(*TABLE.splitlines(), "common_params_fit_impl: projected to use 19187 MiB of device memory").first
    assert first is not None
    assert first.devices == (MeasuredDevice("CUDA0", "RTX 4090", 24077, 945, 17904, 384, 898),)
    assert first.host == MeasuredDevice("Host", "", None, None, 58259, 0, 12)
    assert first.others == (MeasuredDevice("CPU_REPACK", "", None, None, 1, 2, 0),)


def test_that_a_table_counts_only_when_it_is_whole() -> None:
    reader = read(*TABLE.splitlines())
    assert reader.first is None
    reader.finish()
    assert reader.first is not None


def test_that_a_recorded_log_of_two_remote_devices_is_read() -> None:
    reader = BreakdownReader()
    for line in (DATA / "log_two_rpc_devices.txt").read_text(encoding="utf-8").splitlines():
        reader.add(line)
        if reader.first is not None:
            break
    assert reader.first is not None
    assert [(one.name, one.weights_mib, one.context_mib, one.compute_mib) for one in reader.first.devices] == [
        ("RPC0", 29, 21, 35),
        ("RPC1", 62, 24, 29),
    ]
    assert not reader.is_loading


def test_that_the_first_breakdown_stays_whatever_is_tried_afterwards() -> None:
    other = {"data": {"rows": [{"name": "Host", "model": 1, "context": 1, "compute": 1}]}}
    reader = read(event(), event(**other))
    assert reader.first is not None
    assert len(reader.first.devices) == 2
    assert reader.second is None


def test_that_the_second_context_is_told_apart_from_further_trials() -> None:
    other = {"data": {"rows": [{"name": "Host", "model": 1, "context": 2, "compute": 3}]}}
    begun = "common_params_fit_impl: getting device memory data for the extra model at a context size of 4096:"
    reader = read(event(), event(), said(begun), event(**other))
    assert reader.second is not None
    assert reader.second.host.buffers_mib == 6


def test_that_a_second_context_that_cannot_be_measured_is_not_waited_for() -> None:
    failed = "common_params_fit_impl: failed to measure the memory of the extra model, fitting without it: no model"
    reader = read(event(), said(failed, "warn"), event())
    assert reader.second is None


def test_that_the_projectors_estimate_is_kept() -> None:
    line = "srv    load_model: [mtmd] estimated worst-case memory usage of mmproj is 1288.41 MiB (took 12.00 ms)"
    assert read(said(line), event()).projector_mib == 1288.41


def test_that_the_end_of_the_trial_is_noticed() -> None:
    for line in (
        "common_fit_params: failed to fit params to free device memory: not implemented for SPLIT_MODE_TENSOR, abort",
        "llama_params_fit: successfully fit params to free device memory",
        "0.00.480.626 I print_info: no_alloc              = 0",
    ):
        assert read(line).is_loading
        assert read(said(line)).is_loading
    assert not read("common_init_result: fitting params to device memory, for bugs try -fit off").is_loading
    assert not read("0.00.480.626 D print_info: no_alloc              = 1").is_loading


def test_that_lines_are_kept_as_people_read_them() -> None:
    reader = read("warn: a raw line", said("load_model: failed", "error"), event())
    assert reader.lines == ["warn: a raw line", "E load_model: failed"]


def test_that_events_of_builds_to_come_do_no_harm() -> None:
    for line in ('{"type":"fit_memory_breakdown"}', '{"type":"fit_memory_breakdown","data":{"rows":[{"name":"X"}]}}'):
        assert read(line).first is None
    assert read("{not json", '["a list"]', '{"no": "type"}').first is None
