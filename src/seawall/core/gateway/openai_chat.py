"""The OpenAI dialect's chat completions: every field of a request, decided one by one.

`REQUEST_FIELDS` and `MESSAGE_FIELDS` say for each field whether it is walked
(searched for identifiers like any text), set by us, dropped, or refused. A
field that is in neither table is refused, so nothing passes unseen. Walking
covers every leaf, the `passed` scalars included.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from seawall.core.errors import Conflict, Error, Invalid, Missing, Refused

PATH: Final = "/chat/completions"
FEATURE: Final = "chat-completions"


class Treatment(StrEnum):
    """What happens to a field of a request."""

    WALKED = "walked"
    """Every leaf is searched for identifiers, then sent."""
    SET = "set"
    """Seawall writes its own value."""
    DROPPED = "dropped"
    """Never sent: it would tell the vendor who asks."""
    REFUSED = "refused"
    """The request is refused: this cannot be masked, or would undo masking."""


_WALKED: Final = (
    "messages tools tool_choice parallel_tool_calls response_format stop "
    "temperature top_p n max_tokens max_completion_tokens presence_penalty frequency_penalty seed "
    "stream stream_options reasoning_effort verbosity service_tier metadata prediction"
)
_DROPPED: Final = "user safety_identifier prompt_cache_key prompt_cache_retention"
_REFUSED: Final = (
    "logprobs top_logprobs logit_bias audio modalities web_search_options store "
    "functions function_call"
)

REQUEST_FIELDS: Final[dict[str, Treatment]] = {
    "model": Treatment.SET,
    **dict.fromkeys(_WALKED.split(), Treatment.WALKED),
    **dict.fromkeys(_DROPPED.split(), Treatment.DROPPED),
    **dict.fromkeys(_REFUSED.split(), Treatment.REFUSED),
}
"""Every field of a chat completion request."""

MESSAGE_FIELDS: Final[dict[str, Treatment]] = {
    "role": Treatment.WALKED,
    "content": Treatment.WALKED,
    "name": Treatment.WALKED,
    "refusal": Treatment.WALKED,
    "tool_calls": Treatment.WALKED,
    "function_call": Treatment.REFUSED,
    "tool_call_id": Treatment.SET,
    "audio": Treatment.REFUSED,
    "annotations": Treatment.DROPPED,
}
"""Every field of a message."""

_STRUCTURE: Final = (
    "model messages role content name tool_calls tool_call_id id type function arguments text "
    "tools description parameters properties required items enum string number integer object "
    "array boolean null strict json_schema json_object schema response_format tool_choice auto "
    "none additionalProperties system developer user assistant tool stream temperature "
    "max_tokens max_completion_tokens top_p n seed stop stream_options include_usage "
    "parallel_tool_calls"
)
STRUCTURE: Final = frozenset(_STRUCTURE.split())
"""Words of the dialect itself: a leaf that is exactly one of them needs no search."""

NUMBERS: Final = (
    "temperature",
    "top_p",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "presence_penalty",
    "frequency_penalty",
    "seed",
)
"""Fields that hold a number and nothing else."""

_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})
_MAX_CHOICES: Final = 8
_ERROR_TYPES: Final[dict[type[Error], str]] = {
    Invalid: "invalid_request_error",
    Conflict: "invalid_request_error",
    Missing: "invalid_request_error",
    Refused: "permission_error",
}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request that was understood, ready to be walked."""

    endpoint: str
    body: dict[str, Any]
    """What would be sent, before walking: dropped fields gone, set fields set."""
    is_stream: bool
    writes_json: bool
    """Whether the answer's content is to be JSON, so that restoring must escape."""
    features: frozenset[str]


def read_request(body: Any) -> ChatRequest:
    """Understand a parsed body; raise `Invalid` that names the field and never its value."""
    if not isinstance(body, dict):
        raise Invalid("body-not-object", "the body is not a JSON object", "send a chat completion")
    _check_fields(body, REQUEST_FIELDS, "")
    endpoint, messages = body.get("model"), body.get("messages")
    if not isinstance(endpoint, str) or not endpoint:
        raise _wrong("model", "name an endpoint, such as the ones `seawall get Endpoint` lists")
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", "send at least one message")
    renamed: dict[str, str] = {}
    kept = {name: value for name, value in body.items() if REQUEST_FIELDS[name] is Treatment.WALKED}
    kept["messages"] = [
        _message(message, f"messages.{position}", renamed)
        for position, message in enumerate(messages)
    ]
    _check_tools(body.get("tools"))
    choices = body.get("n", 1)
    if choices is not None and not 1 <= _integer(choices, "n") <= _MAX_CHOICES:
        raise _wrong("n", f"ask for 1 to {_MAX_CHOICES} choices")
    is_stream = body.get("stream")
    if is_stream is not None and not isinstance(is_stream, bool):
        raise _wrong("stream", "send true or false")
    return ChatRequest(
        endpoint=endpoint,
        body=kept,
        is_stream=bool(is_stream),
        writes_json=_writes_json(body.get("response_format")),
        features=_features(body),
    )


def outgoing(body: dict[str, Any], model: str) -> dict[str, Any]:
    """Return the walked body with the upstream's own name of the model."""
    return {"model": model, **body}


def error_body(error: Error) -> dict[str, Any]:
    """Return an error in the dialect's own shape, with what to do next in its message."""
    message = f"{error.message}; {error.help}" if error.help else error.message
    return {
        "error": {
            "message": message,
            "type": _ERROR_TYPES.get(type(error), "server_error"),
            "param": None,
            "code": error.code,
            "help": error.help,
        }
    }


def _check_fields(fields: dict[str, Any], table: dict[str, Treatment], where: str) -> None:
    for name, value in fields.items():
        treatment = table.get(name)
        if treatment is None:
            # The name itself may be PHI, so only its place is told.
            raise Invalid(
                "unknown-field",
                f"{where or 'the request'} has a field that Seawall does not know",
                "leave it out; docs/reference/gateway-fields.md lists every field",
            )
        if treatment is Treatment.REFUSED and value not in (None, False):
            raise Invalid(
                "refused-field",
                f"the field {where}{'.' if where else ''}{name} cannot pass the gateway",
                "leave it out; docs/reference/gateway-fields.md says why",
            )


def _check_tools(tools: Any) -> None:
    for position, tool in enumerate(_list(tools or [], "tools")):
        if not isinstance(tool, dict) or tool.get("type") != "function":
            raise _wrong(f"tools.{position}.type", "offer tools of the type function only")


def check_parameters(body: dict[str, Any]) -> None:
    """Raise `Invalid` if a number of a walked body was replaced: the model would reject it."""
    for name in NUMBERS:
        if isinstance(body.get(name), str):
            raise Invalid(
                "identifier-in-parameter",
                f"the number in the field {name} looks like an identifier",
                "use another number",
            )


def _message(message: Any, where: str, renamed: dict[str, str]) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise _wrong(where, "a message is a JSON object")
    _check_fields(message, MESSAGE_FIELDS, where)
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise _wrong(f"{where}.role", f"use one of {', '.join(sorted(_ROLES))}")
    kept = {
        name: value for name, value in message.items() if MESSAGE_FIELDS[name] is Treatment.WALKED
    }
    _check_content(kept.get("content"), where)
    if kept.get("tool_calls") is not None:
        kept["tool_calls"] = [
            _tool_call(call, f"{where}.tool_calls.{position}", renamed)
            for position, call in enumerate(_list(kept["tool_calls"], f"{where}.tool_calls"))
        ]
    if "tool_call_id" in message:
        kept["tool_call_id"] = _rename(message["tool_call_id"], f"{where}.tool_call_id", renamed)
    return kept


def _check_content(content: Any, where: str) -> None:
    if content is None or isinstance(content, str):
        return
    for position, part in enumerate(_list(content, f"{where}.content")):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("text", "refusal") or part.keys() - {"type", "text", "refusal"}:
            raise Invalid(
                "refused-part",
                f"{where}.content.{position} is not a text part",
                "send text; pictures, audio and files may show a face, a voice or a label, "
                "and cannot be masked",
            )


def _tool_call(call: Any, where: str, renamed: dict[str, str]) -> dict[str, Any]:
    if not isinstance(call, dict) or call.keys() - {"id", "type", "function", "index"}:
        raise _wrong(where, "a tool call has id, type and function")
    return {**call, "id": _rename(call.get("id"), f"{where}.id", renamed)}


def _rename(value: Any, where: str, renamed: dict[str, str]) -> str:
    """Give a call our own id, the same for the same id, so that no client's id leaves."""
    if not isinstance(value, str):
        raise _wrong(where, "an id is a string")
    return renamed.setdefault(value, f"call_{len(renamed) + 1:04d}")


def _features(body: dict[str, Any]) -> frozenset[str]:
    uses_tools = any(body.get(name) for name in ("tools", "tool_choice"))
    return frozenset({FEATURE, *(["tools"] if uses_tools else [])})


def _writes_json(response_format: Any) -> bool:
    return isinstance(response_format, dict) and response_format.get("type") in (
        "json_object",
        "json_schema",
    )


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(where, "send a list")
    return value


def _integer(value: Any, where: str) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise _wrong(where, "send a whole number") from None


def _wrong(where: str, help_text: str) -> Invalid:
    return Invalid("wrong-field", f"the field {where} does not have the form it needs", help_text)
