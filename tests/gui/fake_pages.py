"""The fake bridge for the pages that plot, talk and show logs: a real store, real conversations, a scripted model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PySide6.QtCore import QCoreApplication

from tests.gui.fake_bridge import FakeBridge
from tests.support.catalogs import tier, write_catalog
from variet_gui.chat.conversation import Conversation, Sampling
from variet_gui.client.api import ChatRequest
from variet_gui.client.stream import StreamEvent
from variet_gui.engine.log_feed import LineRing
from variet_gui.events import AnswerChanged, Event, EventStream, ServerState, ServerStatus
from variet_gui.telemetry.store import MetricStore


def write_tiers(folder: Path) -> Path:
    """Write a catalog of three tiers: one with vision and a target, one with vision, one without either."""
    fast = {**tier("fast", folder / "a.gguf", port=8081, mmproj="a.mmproj.gguf"), "acceptance": {"min_tps": 70.0}}
    balanced = tier("balanced", folder / "b.gguf", port=8082, mmproj="b.mmproj.gguf")
    return write_catalog(folder / "tiers.json", [fast, balanced, tier("deep-coder", folder / "c.gguf", port=8083)])


class ScriptedApi:
    """Streams what the test says, when it says so."""

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []
        self._events: asyncio.Queue[StreamEvent | BaseException | None] = asyncio.Queue()

    def say(self, *events: StreamEvent | BaseException | None) -> None:
        """Let these events come next; None ends the stream, an exception breaks it."""
        for event in events:
            self._events.put_nowait(event)

    async def stream_chat(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        self.requests.append(request)
        while (event := await self._events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event

    async def count_prompt_tokens(self, messages: Sequence[Mapping[str, Any]]) -> int | None:
        return None


class PagesBridge(FakeBridge):
    """`spin` runs the core's loop for a moment, in the thread of the test."""

    def __init__(self, catalog: Path) -> None:
        super().__init__(catalog, catalog.parent)
        self.loop = asyncio.new_event_loop()
        self.events = EventStream()
        self.events.subscribe(self._receive)
        self.api = ScriptedApi()
        self.store = MetricStore()
        self.panel.watch.store = self.store
        self.panel.converse = SimpleNamespace(conversation=self._conversation)
        self.rings: dict[str, LineRing] = {}
        self.log_dir = Path("logs")
        self.panel.run.server = lambda role: SimpleNamespace(
            lines_since=self.rings.setdefault(role, LineRing()).since, log_path=self.log_dir / f"{role}.log"
        )
        self._conversations: dict[str, Conversation] = {}
        self._tasks: list[asyncio.Task[Any]] = []

    def up(self, role: str, *, vision: bool = False) -> None:
        """Let the tier be ready."""
        values: dict[str, Any] = {"mmproj": "mmproj.gguf"} if vision else {}
        self.show(ServerStatus(role, ServerState.READY, port=8081, values=values, vision=vision))

    def spin(self, *events: StreamEvent | BaseException | None) -> None:
        """Let the model say `events` and the conversation take them."""
        self.api.say(*events)
        self.loop.run_until_complete(asyncio.sleep(0.04))  # longer than a conversation holds announcements back
        QCoreApplication.processEvents()

    def finish(self) -> None:
        """End everything on the loop."""
        for task in self._tasks:
            task.cancel()
        self.loop.run_until_complete(self._end())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    async def _end(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def log(self, role: str, *lines: str) -> None:
        """Let the server of `role` write these lines."""
        self.rings.setdefault(role, LineRing()).extend(lines)
        self.log_appended.emit(role, list(lines))

    # what the pages call

    def ask(self, role: str, text: str, pictures: tuple[bytes, ...], sampling: Mapping[str, Any]) -> None:
        self.asked.append(("ask", role, text, len(pictures), dict(sampling)))
        self._run(self._conversation(role).ask(self.api, text, pictures, Sampling.of(sampling)))

    def regenerate(self, role: str, sampling: Mapping[str, Any]) -> None:
        self.asked.append(("regenerate", role, dict(sampling)))
        self._run(self._conversation(role).regenerate(self.api))

    def stop_answer(self, role: str) -> None:
        self.asked.append(("stop_answer", role))
        self._run(self._conversation(role).stop())

    def new_conversation(self, role: str) -> None:
        self.asked.append(("new_conversation", role))
        self._run(self._conversation(role).clear())

    def _run(self, coroutine: Any) -> None:
        self._tasks.append(self.loop.create_task(coroutine))

    def _conversation(self, role: str) -> Conversation:
        return self._conversations.setdefault(role, Conversation(self.events, tier=role))

    def _receive(self, event: Event) -> None:
        if isinstance(event, AnswerChanged):
            self.answer_changed.emit(event.conversation_id, event.message_id)
