"""What a chat completion request asks for, read from bytes without mercy.

Follows the request object of OpenAI's `POST /v1/chat/completions`; fields that
the sandbox has no use for (temperature, seed, user, metadata ...) are ignored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import orjson

MODEL: Final = "seawall-sandbox-1"
"""The only model there is; a request may add switches to it (`faults.py`)."""

RELEASED_AT: Final = 1_767_225_600
"""2026-01-01T00:00:00Z: the `created` of every answer, so that equal requests give equal bytes."""

MAXIMUM_CHOICES: Final = 8


class UnusableRequestError(Exception):
    """A request that gets an error answer: HTTP status, code, and words without any value."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation, with the text of all its parts joined."""

    role: str
    text: str
    called: tuple[str, ...] = ()
    """The functions that an assistant's turn called."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the caller offers."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat completion request, checked."""

    digest: bytes
    """SHA-256 of the exact body: the only seed of ids and of chunk lengths."""
    switches: tuple[str, ...]
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    """`auto`, `none`, `required`, or `function:NAME`."""
    choices: int = 1
    stream: bool = False
    include_usage: bool = False
    response_format: str = "text"
    """`text`, `json_object` or `json_schema`."""
    response_schema: dict[str, Any] | None = None

    def last(self, role: str) -> str:
        """Return the text of the newest turn of `role`, or the empty string."""
        return next((m.text for m in reversed(self.messages) if m.role == role), "")

    def said_by(self, *roles: str) -> str:
        """Return all text of these roles in order, one turn per paragraph."""
        return "\n\n".join(m.text for m in self.messages if m.role in roles)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether parsed JSON is an object (whose keys are strings)."""
    return isinstance(value, dict)


def read_request(body: bytes) -> ChatRequest:
    """Read a request body; raises UnusableRequestError for anything that is not one."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UnusableRequestError(400, "invalid-json", "the body is not valid json") from None
    if not is_object(parsed):
        raise UnusableRequestError(400, "invalid-body", "the body is not a json object")
    options = _object_in(parsed, "stream_options")
    response_format = _object_in(parsed, "response_format")
    return ChatRequest(
        digest=hashlib.sha256(body).digest(),
        switches=_switches(parsed.get("model")),
        messages=_messages(parsed.get("messages")),
        tools=_tools(parsed.get("tools")),
        tool_choice=_tool_choice(parsed.get("tool_choice")),
        choices=_choices(parsed.get("n")),
        stream=parsed.get("stream") is True,
        include_usage=options.get("include_usage") is True,
        response_format=str(response_format.get("type", "text")),
        response_schema=_object_in(_object_in(response_format, "json_schema"), "schema") or None,
    )


def _object_in(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    return value if is_object(value) else {}


def _switches(model: object) -> tuple[str, ...]:
    """Split `seawall-sandbox-1+echo+cut`; the known switches are in `faults.py`."""
    if not isinstance(model, str):
        raise UnusableRequestError(400, "missing-model", "the field model is missing")
    name, *switches = model.split("+")
    if name != MODEL:
        raise UnusableRequestError(404, "model_not_found", f"the only model here is {MODEL}")
    return tuple(switches)


def _messages(value: object) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise UnusableRequestError(
            400, "missing-messages", "the field messages is missing or empty"
        )
    return tuple(_message(item) for item in value)


def _message(item: object) -> Message:
    if not is_object(item) or not isinstance(item.get("role"), str):
        raise UnusableRequestError(400, "invalid-message", "a message is not an object with a role")
    calls = item.get("tool_calls")
    functions = (
        [_object_in(call, "function") for call in calls if is_object(call)]
        if isinstance(calls, list)
        else []
    )
    called = tuple(str(function.get("name", "")) for function in functions)
    return Message(role=item["role"], text=_text_of(item.get("content")), called=called)


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if is_object(part))
    return "\n".join(text for text in texts if isinstance(text, str))


def _tools(value: object) -> tuple[Tool, ...]:
    if not isinstance(value, list):
        return ()
    functions = (_object_in(item, "function") for item in value if is_object(item))
    return tuple(
        Tool(
            name=function["name"],
            description=str(function.get("description", "")),
            parameters=_object_in(function, "parameters"),
        )
        for function in functions
        if isinstance(function.get("name"), str)
    )


def _tool_choice(value: object) -> str:
    if is_object(value):
        return f"function:{_object_in(value, 'function').get('name', '')}"
    return value if isinstance(value, str) else "auto"


def _choices(value: object) -> int:
    if value is None:
        return 1
    if not isinstance(value, int) or not 1 <= value <= MAXIMUM_CHOICES:
        raise UnusableRequestError(400, "invalid-n", f"n is not between 1 and {MAXIMUM_CHOICES}")
    return value
