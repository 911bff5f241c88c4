from __future__ import annotations

import logging

import pytest

from variet_gui.events import CatalogChanged, Event, EventStream, ServerState, ServerStatus


def test_that_every_subscriber_gets_every_event_in_order() -> None:
    stream, first, second = EventStream(), [], []
    stream.subscribe(first.append)
    forget = stream.subscribe(second.append)
    stream.publish(CatalogChanged("fast"))
    forget()
    forget()
    stream.publish(CatalogChanged("ultra"))
    assert first == [CatalogChanged("fast"), CatalogChanged("ultra")]
    assert second == [CatalogChanged("fast")]


def test_that_a_subscriber_that_raises_is_logged_and_keeps_nothing_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(event: Event) -> None:
        raise RuntimeError("broken")

    stream, received = EventStream(), []
    stream.subscribe(fails)
    stream.subscribe(received.append)
    with caplog.at_level(logging.ERROR):
        stream.publish(CatalogChanged())
    assert received == [CatalogChanged()]
    assert "broken" in caplog.text


def test_that_only_stopped_and_failed_hold_no_memory() -> None:
    assert {state for state in ServerState if not state.is_active} == {ServerState.STOPPED, ServerState.FAILED}
    assert ServerStatus("fast", port=8081).url == "http://127.0.0.1:8081/v1"
    assert ServerStatus("fast").url is None
