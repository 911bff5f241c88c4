"""What can go wrong when talking to a server, in plain words.

The server's shapes: `{"error": {"code", "message", "type"}}` from b4000 or so on, `{"error": "text"}` before, and
bare text from anything that is not llama-server. (llama.cpp tools/server: `format_error_response`.)
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from variet_gui.i18n import Message, msg

_SAID_AT_MOST = 400
"""Characters of a server's own words that a sentence repeats."""


class ErrorKind(StrEnum):
    """What kind of trouble an `ApiError` is, for code that acts on it."""

    UNREACHABLE = "unreachable"
    """Nothing listens there, or the connection broke before an answer."""
    LOADING = "loading"
    """The model is being loaded."""
    BUSY = "busy"
    """All slots are taken."""
    TIMEOUT = "timeout"
    """Connected, but no answer in time. The server may be working: this never means that it died."""
    CUT = "cut"
    """A stream ended before the answer did."""
    CONTEXT_EXCEEDED = "context_exceeded"
    NO_VISION = "no_vision"
    BAD_IMAGE = "bad_image"
    UNAUTHORISED = "unauthorised"
    NOT_FOUND = "not_found"
    """The server does not know this path; older builds lack some."""
    NOT_SUPPORTED = "not_supported"
    """Known, but switched off on this server."""
    BAD_REQUEST = "bad_request"
    SERVER_ERROR = "server_error"
    UNEXPECTED_REPLY = "unexpected_reply"
    """What came back is not in llama-server's language."""


class ApiError(Exception):
    """A request failed. `str()` is the sentence for the operator in the current language."""

    def __init__(self, kind: ErrorKind, message: Message, *, status: int | None = None, said: str = "") -> None:
        super().__init__(message.english)
        self.kind = kind
        self.message = message
        self.status = status
        """HTTP status, or the `code` of an error inside a stream; None when no answer came."""
        self.said = said
        """The server's own words, for the log."""

    def __str__(self) -> str:
        return str(self.message)


def unreachable(address: str, said: str = "") -> ApiError:
    """Return the error for a connection that was refused, or broke before an answer came."""
    return ApiError(
        ErrorKind.UNREACHABLE,
        msg("No server answers on {address}. Start the tier, then try again.", address=address),
        said=said,
    )


def timed_out(address: str, said: str = "") -> ApiError:
    """Return the error for a server that took the request and kept silent."""
    return ApiError(
        ErrorKind.TIMEOUT,
        msg("The server on {address} did not answer in time. It may be busy with a long prompt.", address=address),
        said=said,
    )


def unexpected_reply(said: str, status: int | None = None) -> ApiError:
    """Return the error for an answer that no llama-server gives."""
    return ApiError(
        ErrorKind.UNEXPECTED_REPLY,
        msg(
            "The answer is not one that llama-server gives ({said}). Another program may be using this tier's port.",
            said=_shortened(said),
        ),
        status=status,
        said=said,
    )


def from_reply(payload: object, status: int | None, text: str = "") -> ApiError:
    """Turn the server's own error into an `ApiError`.

    Args:
        payload: the decoded JSON body or stream object, or None when it was no JSON.
        status: HTTP status; None inside a stream, where the error's own `code` stands in.
        text: the body as text, for servers that send no JSON.
    """
    error = _error_object(payload)
    said = str(error.get("message") or text or "").strip()
    code = error.get("code")
    if status is None and isinstance(code, int):
        status = code
    kind = str(error.get("type") or "")
    lower = said.lower()
    if kind == "exceed_context_size_error" or "exceeds the available context size" in lower:
        return _context_exceeded(error, status, said)
    if "image input is not supported" in lower or "mmproj" in lower:
        return ApiError(ErrorKind.NO_VISION, NO_VISION, status=status, said=said)
    if "failed to load image" in lower or "mtmd chunk" in lower or "failed to decode image" in lower:
        return ApiError(
            ErrorKind.BAD_IMAGE,
            msg("The server could not read the picture. Save it as PNG or JPEG and send it again."),
            status=status,
            said=said,
        )
    if status == 503 or kind == "unavailable_error":
        return _unavailable(lower, status, said)
    if status == 401 or kind == "authentication_error":
        return ApiError(
            ErrorKind.UNAUTHORISED,
            msg("The server asks for an API key, and the one that this tier has is not it."),
            status=status,
            said=said,
        )
    if status == 404:
        return ApiError(
            ErrorKind.NOT_FOUND, msg("This build of llama-server does not offer that."), status=404, said=said
        )
    if status == 501 or kind in ("not_supported_error", "feature_disabled"):
        return ApiError(
            ErrorKind.NOT_SUPPORTED,
            msg("This is switched off on this server: {reason}", reason=_shortened(said)),
            status=status,
            said=said,
        )
    if not error and not (status is not None and 400 <= status < 600):
        return unexpected_reply(said, status)
    if status is None or status >= 500:
        return ApiError(
            ErrorKind.SERVER_ERROR,
            msg("The server failed on this request: {reason}", reason=_shortened(said) or str(status or "—")),
            status=status,
            said=said,
        )
    return ApiError(
        ErrorKind.BAD_REQUEST,
        msg("The server refused the request: {reason}", reason=_shortened(said) or str(status or "—")),
        status=status,
        said=said,
    )


NO_VISION = msg(
    "This tier cannot take pictures: its server runs without a projector (--mmproj). "
    "Give the tier a projector file, choose a tier that has one, or send the text alone."
)
"""Said when a picture went to a server without a projector; the window says the same before the operator tries."""


def _context_exceeded(error: Mapping[str, Any], status: int | None, said: str) -> ApiError:
    needed, room = error.get("n_prompt_tokens"), error.get("n_ctx")
    if isinstance(needed, int) and isinstance(room, int):
        message = msg(
            "The conversation takes {needed} tokens and this server has room for {room}. "
            "Send less, start a new conversation, or start the tier with a larger context.",
            needed=_spaced(needed),
            room=_spaced(room),
        )
    else:
        message = msg(
            "The conversation is longer than this server has room for ({said}). "
            "Send less, start a new conversation, or start the tier with a larger context.",
            said=_shortened(said),
        )
    return ApiError(ErrorKind.CONTEXT_EXCEEDED, message, status=status, said=said)


def _unavailable(lower: str, status: int | None, said: str) -> ApiError:
    if "slot" in lower:
        return ApiError(ErrorKind.BUSY, msg("The server is busy with other requests."), status=status, said=said)
    return ApiError(
        ErrorKind.LOADING,
        msg("The server is still loading its model. Try again when the tier is ready."),
        status=status,
        said=said,
    )


def _error_object(payload: object) -> Mapping[str, Any]:
    if not isinstance(payload, dict):
        return {}
    error = payload.get("error", payload)
    if isinstance(error, dict):
        return error
    return {"message": str(error)}


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SAID_AT_MOST else line[: _SAID_AT_MOST - 1] + "…"


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
