"""The thread on which the core runs."""

from __future__ import annotations

import asyncio

from variet_gui.ui.core_thread import CoreThread


def test_that_a_call_after_the_end_is_cancelled_and_leaves_no_coroutine_behind() -> None:
    core = CoreThread(lambda loop, context: loop.default_exception_handler(context))
    core.start()
    assert core.submit(asyncio.sleep(0, "result")).result(5.0) == "result"
    core.finish()
    assert core.join(5.0)
    assert core.submit(asyncio.sleep(0)).cancelled()
