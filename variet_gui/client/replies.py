"""What a server says of itself, as plain values, in the shapes of new and old builds of llama-server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Health(Enum):
    """What `/health` says. It is liveness: READY also while the server generates or sleeps."""

    READY = "ready"
    LOADING = "loading"
    DOWN = "down"
    """Nothing listens there, the server says that it is in error, or it is no llama-server."""
    NO_ANSWER = "no_answer"
    """Connected, but no answer in time. Busy, and not to be taken for dead."""


@dataclass(frozen=True, slots=True)
class Props:
    """The part of `/props` that the panel uses. None: this build does not say."""

    vision: bool | None
    """Whether a projector is loaded and pictures are accepted (`modalities.vision`)."""
    context_size: int | None
    """Tokens per slot."""
    build_info: str | None
    """"b11434-abc1234"; with `model_path` it proves which server answers on a port."""
    model_path: str | None
    model_alias: str | None
    total_slots: int | None
    is_sleeping: bool = False

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Props:
        """Read a reply of `/props`."""
        modalities = _mapping(raw.get("modalities"))
        settings = _mapping(raw.get("default_generation_settings"))
        vision = modalities.get("vision")
        return cls(
            vision=vision if isinstance(vision, bool) else None,
            context_size=_int(settings.get("n_ctx")),
            build_info=_text(raw.get("build_info")),
            model_path=_text(raw.get("model_path")),
            model_alias=_text(raw.get("model_alias")),
            total_slots=_int(raw.get("total_slots")),
            is_sleeping=raw.get("is_sleeping") is True,
        )


@dataclass(frozen=True, slots=True)
class SlotState:
    """One slot of `/slots`. Counts are tokens; None: not said (a slot that has not worked yet says little)."""

    id: int
    id_task: int | None
    """Counts up with every request: `n_decoded` starts anew when it changes."""
    is_processing: bool
    n_prompt: int | None
    """Tokens in the slot so far. It climbs while the prompt is read and goes on while the answer is made."""
    n_prompt_processed: int | None
    """Prompt tokens that were worked on, cached ones not counted."""
    n_prompt_cache: int | None
    n_decoded: int | None
    """Tokens generated in this task. Back to 0 once the slot is released."""
    n_ctx: int | None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> SlotState:
        """Read one element of `/slots`. `next_token` is a list of one in newer builds and an object in older ones."""
        following = raw.get("next_token")
        if isinstance(following, list):
            following = following[0] if following else None
        progress = _mapping(following)
        processing = raw.get("is_processing")
        if not isinstance(processing, bool):
            processing = raw.get("state") == 1  # builds before November 2024
        return cls(
            id=_int(raw.get("id")) or 0,
            id_task=_int(raw.get("id_task", raw.get("task_id"))),
            is_processing=processing,
            n_prompt=_int(raw.get("n_prompt_tokens")),
            n_prompt_processed=_int(raw.get("n_prompt_tokens_processed")),
            n_prompt_cache=_int(raw.get("n_prompt_tokens_cache")),
            n_decoded=_int(progress.get("n_decoded", raw.get("n_decoded"))),
            n_ctx=_int(raw.get("n_ctx")),
        )


def health_of(status: int, payload: object) -> Health:
    """Read a reply of `/health`.

    Newer builds: 200 `{"status": "ok"}`, 503 `{"error": {"message": "Loading model"}}`. Older ones put "loading
    model", "no slot available" or "error" in `status`, with 200, 500 or 503.
    """
    reply = _mapping(payload)
    error = reply.get("error")
    said = str(reply.get("status") or _mapping(error).get("message") or error or "").lower()
    if "loading" in said:
        return Health.LOADING
    if said == "ok" or "no slot" in said:
        return Health.READY
    if status == 503:
        return Health.LOADING
    return Health.DOWN


def token_ids(payload: object) -> list[int]:
    """Read a reply of `/tokenize`, with pieces or without."""
    tokens = _mapping(payload).get("tokens")
    if not isinstance(tokens, list):
        return []
    ids = [entry.get("id") if isinstance(entry, dict) else entry for entry in tokens]
    return [number for number in ids if isinstance(number, int)]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
