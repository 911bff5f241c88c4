"""How fast the computer's own memory is: really measured, and given up where there is no room for it."""

from __future__ import annotations

import threading

from variet_gui.telemetry.host_bandwidth import measure_host_bandwidth


def test_that_this_computer_reads_its_memory_at_a_speed_that_can_be() -> None:
    before = threading.active_count()
    found = measure_host_bandwidth(64)
    assert found is not None
    assert 0.2 < found < 5000
    assert threading.active_count() == before


def test_that_nothing_is_measured_where_too_little_memory_is_free() -> None:
    assert measure_host_bandwidth(2**30) is None
