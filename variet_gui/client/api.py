"""The HTTP side of one server. The only module that knows httpx.

It only ever talks to 127.0.0.1: no proxy of the environment is used (`trust_env=False`), and no TLS context is built
(`verify=False`; that alone costs 30 ms).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias

import httpx

from variet_gui.client.errors import ApiError, ErrorKind, from_reply, timed_out, unexpected_reply, unreachable
from variet_gui.client.replies import Health, Props, SlotState, health_of, token_ids
from variet_gui.client.stream import AnswerDecoder, StreamCut, StreamEvent

__all__ = [
    "ApiError",
    "ChatRequest",
    "ErrorKind",
    "Health",
    "Http",
    "LlamaApi",
    "LlamaClient",
    "LlamaClientFactory",
    "Props",
    "SlotState",
]

_POLL = httpx.Timeout(2.0)
"""Older builds answer /slots only between batches; a poll gives up and comes again."""
_WORK = httpx.Timeout(10.0, connect=2.0)
"""Tokenising, templates, counting."""
_STREAM = httpx.Timeout(None, connect=5.0, write=60.0, pool=5.0)
"""Between two tokens any time may pass: reading a long prompt on the CPU takes minutes."""


class Http:
    """The one connection pool of the application. Belongs to the event loop that first uses it."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(
            trust_env=False,
            verify=False,  # noqa: S501 - 127.0.0.1 without TLS
            timeout=_POLL,
            # The server drops idle connections after 5 s; leaving earlier avoids sending into one that just closed.
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=2.0),
            headers={"Accept-Encoding": "identity", "User-Agent": "variet"},
        )

    @property
    def client(self) -> httpx.AsyncClient:
        """Return the httpx client, for this module's use."""
        return self._client

    async def aclose(self) -> None:
        """Close all connections. Requests after that fail with `ApiError`."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat request."""

    messages: Sequence[Mapping[str, Any]]
    """OpenAI messages, pictures as `image_url` parts."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """What is to differ from the server's own settings: temperature, max_tokens and whatever else it takes."""

    def body(self) -> dict[str, Any]:
        """Return the JSON body. Never with a conversation id: the server would then go on after we hang up."""
        return {
            **self.sampling,
            "messages": list(self.messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            "timings_per_token": True,
            "return_progress": True,
        }


class LlamaApi:
    """One server's endpoints. All methods raise `ApiError` with a sentence for the operator."""

    def __init__(self, http: Http, base_url: str, api_key: str | None = None) -> None:
        """Talk to `base_url`, with or without the "/v1" of OpenAI clients."""
        self._http = http
        self._base_url = base_url.rstrip("/").removesuffix("/v1")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    @property
    def base_url(self) -> str:
        """Return the address without a path: "http://127.0.0.1:8081"."""
        return self._base_url

    async def health(self) -> Health:
        """Ask whether the server is up. Raises nothing: every trouble is one of the answers."""
        try:
            response = await self._send("GET", "/health", patience=_POLL)
        except ApiError as error:
            return Health.NO_ANSWER if error.kind is ErrorKind.TIMEOUT else Health.DOWN
        return health_of(response.status_code, _json_of(response))

    async def props(self) -> Props:
        """Ask what the server is: model, build, context, vision."""
        return Props.of(await self._ask_object("GET", "/props", patience=_POLL))

    async def slots(self) -> tuple[SlotState, ...]:
        """Ask what each slot is doing. Wakes a server that sleeps."""
        reply = await self._ask("GET", "/slots", patience=_POLL)
        if not isinstance(reply, list):
            raise unexpected_reply(str(reply), 200)
        return tuple(SlotState.of(slot) for slot in reply if isinstance(slot, dict))

    async def tokenize(self, text: str, *, add_special: bool = False) -> list[int]:
        """Return the token ids of `text`; `add_special` adds the begin token where the model wants one."""
        body = {"content": text, "add_special": add_special, "parse_special": True}
        return token_ids(await self._ask_object("POST", "/tokenize", body))

    async def count_prompt_tokens(self, messages: Sequence[Mapping[str, Any]]) -> int | None:
        """Return how many tokens a prompt of `messages` takes, pictures included, as the server itself counts.

        Newer builds count at `/v1/chat/completions/input_tokens`, pictures as well. For older ones the template is
        applied and its text tokenised, which cannot count pictures: None then.
        """
        body: dict[str, Any] = {"messages": list(messages)}
        try:
            reply = await self._ask_object("POST", "/v1/chat/completions/input_tokens", body)
        except ApiError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
        else:
            count = reply.get("input_tokens")
            return count if isinstance(count, int) else None
        if any(_has_picture(message.get("content")) for message in messages):
            return None
        prompt = (await self._ask_object("POST", "/apply-template", body)).get("prompt")
        return len(await self.tokenize(prompt, add_special=True)) if isinstance(prompt, str) else None

    async def stream_chat(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        """Ask and give the answer as it comes; the last event is `AnswerFinished`.

        Closing the generator (`aclosing`), or cancelling the task in it, closes the connection, and with it the
        server's work on this answer.

        Raises:
            StreamCut: the answer began, or was about to, and the connection ended before it did.
            ApiError: anything else; before the first event or, as an error inside the stream, after some.
        """
        self._require_open()
        decoder = AnswerDecoder()
        try:
            async with self._http.client.stream(
                "POST",
                self._base_url + "/v1/chat/completions",
                json=request.body(),
                headers=self._headers,
                timeout=_STREAM,
            ) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise from_reply(_json_of(response), response.status_code, response.text)
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise unexpected_reply(response.headers.get("content-type", "no content type"), 200)
                async for chunk in response.aiter_raw():
                    for event in decoder.feed(chunk):
                        yield event
                    if decoder.finished:
                        return
                decoder.end()
        except httpx.TimeoutException as error:
            raise _of_timeout(error, self._base_url) from error
        except httpx.ConnectError as error:
            raise unreachable(self._base_url, str(error)) from error
        except httpx.TransportError as error:
            raise StreamCut(repr(error)) from error

    async def _ask_object(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, patience: httpx.Timeout = _WORK
    ) -> dict[str, Any]:
        reply = await self._ask(method, path, body, patience)
        if not isinstance(reply, dict):
            raise unexpected_reply(str(reply), 200)
        return reply

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, patience: httpx.Timeout = _WORK
    ) -> object:
        response = await self._send(method, path, body, patience)
        reply = _json_of(response)
        if response.status_code != 200:
            raise from_reply(reply, response.status_code, response.text)
        if reply is None:
            raise unexpected_reply(response.text[:200], 200)
        return reply

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, patience: httpx.Timeout = _WORK
    ) -> httpx.Response:
        self._require_open()
        try:
            return await self._http.client.request(
                method, self._base_url + path, json=body, headers=self._headers, timeout=patience
            )
        except httpx.TimeoutException as error:
            raise _of_timeout(error, self._base_url) from error
        except httpx.TransportError as error:
            raise unreachable(self._base_url, repr(error)) from error

    def _require_open(self) -> None:
        if self._http.client.is_closed:
            raise unreachable(self._base_url, "the panel is closing")


class LlamaClient:
    """Makes the API of a server on this computer from its port; callable, so that it fits `LlamaClientFactory`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def for_port(self, port: int, api_key: str | None = None) -> LlamaApi:
        """Return the API of the server on 127.0.0.1:`port`."""
        return LlamaApi(self._http, f"http://127.0.0.1:{port}", api_key)

    __call__ = for_port


LlamaClientFactory: TypeAlias = Callable[[int], LlamaApi]
"""From a port to the API of the server there."""


def _of_timeout(error: httpx.TimeoutException, address: str) -> ApiError:
    if isinstance(error, httpx.ConnectTimeout):
        return unreachable(address, repr(error))
    return timed_out(address, repr(error))


def _has_picture(content: object) -> bool:
    return isinstance(content, list) and any(part.get("type") != "text" for part in content)


def _json_of(response: httpx.Response) -> object:
    try:
        reply: object = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    return reply
