"""The OpenAI dialect's answers: inspected as the model wrote them, then restored.

`AnswerRewriter` takes a whole answer; `StreamRewriter` takes a stream's events
one by one. Text is released per choice and per field. What is JSON, a tool call's
arguments or a structured output, is held until it is complete, because in it
escapes may hide an identifier and a restored value must be escaped for the level
that it is written into, and because nobody can act on half of it. The events
that end a choice are held back until `finish`, so that the caller sees the end
only after the outcome was recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from seawall.core.errors import Invalid, Unavailable
from seawall.core.gateway.inspection import AnswerFilter, Inspector, inspect_whole
from seawall.core.phi.restoration import StreamRestorer, restore, restore_json_text
from seawall.core.phi.walking import dump, parse_strict, transform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seawall.core.phi.replacement import Placeholders
    from seawall.core.phi.walking import Path
    from seawall.core.registers.use_case import AnswerRule

_TEXTS: Final = ("content", "refusal", "reasoning_content")

# What an answer may hold; anything else (log probabilities, annotations, what a
# vendor adds tomorrow) could show text that was not inspected, and is left out.
_ANSWER: Final = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"}
)
_CHOICE: Final = frozenset({"index", "message", "delta", "finish_reason"})
_MESSAGE: Final = frozenset({"role", "tool_calls", *_TEXTS})
_CALL: Final = frozenset({"id", "type", "function"})
_MAX_HELD: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What rewriting an answer takes: the map, the inspector, the rule, the level."""

    placeholders: Placeholders
    inspector: Inspector
    rule: AnswerRule
    writes_json: bool

    def filter(self) -> AnswerFilter:
        """Return a filter for one text of the answer."""
        return AnswerFilter(self.inspector, self.rule)

    def whole(self, text: str, *, is_json: bool) -> str:
        """Inspect and restore one whole text; JSON leaf by leaf, at every level."""
        if is_json:
            return restore_json_text(self._inspect_json(text), self.placeholders)
        return restore(inspect_whole(self.inspector, self.rule, text), self.placeholders)

    def _inspect_json(self, text: str) -> str:
        """Inspect every leaf of a JSON text, so that no escape hides one and the form holds."""

        def leaf(value: str, path: Path) -> str:
            return inspect_whole(self.inspector, self.rule, value, path)

        try:
            parsed = parse_strict(text.encode())
        except (Invalid, UnicodeEncodeError):
            # Models do write broken JSON; it is text then, and inspected as such.
            return inspect_whole(self.inspector, self.rule, text)
        try:
            inspected = transform(parsed, leaf)
        except Invalid:
            raise _garbage() from None
        return text if inspected == parsed else dump(inspected).decode()


def rewrite_answer(raw: bytes, rewriting: Rewriting) -> bytes:
    """Return a whole answer for the caller; `Unavailable` if it is not the dialect's."""
    answer = _only(_parse(raw), _ANSWER)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise _garbage()
    answer["choices"] = [_only(_mapping(choice), _CHOICE) for choice in choices]
    for choice in answer["choices"]:
        message = choice["message"] = _only(_mapping(choice.get("message")), _MESSAGE)
        for name in _TEXTS:
            if message.get(name) is not None:
                text = _text(message[name])
                message[name] = rewriting.whole(text, is_json=rewriting.writes_json)
        if message.get("tool_calls") is not None:
            message["tool_calls"] = [
                _whole_call(call, rewriting) for call in _list(message["tool_calls"])
            ]
    return orjson.dumps(answer)


def _whole_call(call: Any, rewriting: Rewriting) -> dict[str, Any]:
    kept = _only(_mapping(call), _CALL)
    function = _mapping(kept.get("function"))
    kept["function"] = {
        "name": restore(_text(function.get("name")), rewriting.placeholders),
        "arguments": rewriting.whole(_text(function.get("arguments")), is_json=True),
    }
    return kept


@dataclass(slots=True)
class _Text:
    """One text of one choice on its way out."""

    filter: AnswerFilter
    restorer: StreamRestorer
    sent: list[str] = field(default_factory=list)

    def feed(self, text: str) -> str:
        released = self.restorer.feed(self.filter.feed(text))
        self.sent.append(released)
        return released

    def finish(self) -> str:
        released = self.restorer.feed(self.filter.finish()) + self.restorer.finish()
        self.sent.append(released)
        return released


@dataclass(slots=True)
class _Gathered:
    """One text of one choice that is JSON: nothing is released before it is whole."""

    rewriting: Rewriting
    pieces: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def feed(self, text: str) -> str:
        self.pieces.append(text)
        return ""

    def finish(self) -> str:
        self.sent.append(self.rewriting.whole("".join(self.pieces), is_json=True))
        return self.sent[-1]


@dataclass(slots=True)
class _Call:
    """One tool call that is gathering."""

    head: dict[str, Any]
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Choice:
    """One choice of a stream."""

    texts: dict[str, _Text | _Gathered] = field(default_factory=dict)
    calls: dict[int, _Call] = field(default_factory=dict)
    done_calls: list[dict[str, Any]] = field(default_factory=list)
    is_finished: bool = False


class StreamRewriter:
    """Rewrites a stream's events; the result does not depend on how the upstream cut it."""

    def __init__(self, rewriting: Rewriting) -> None:
        self._rewriting = rewriting
        self._choices: dict[int, _Choice] = {}
        self._ending: list[bytes] = []
        self._held = 0
        self._done = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take one event's data; yield the data of the events that may go out now."""
        if data.strip() == b"[DONE]":
            self._done = True
            return
        chunk = _only(_parse(data), _ANSWER)
        choices = _list(chunk.get("choices"))
        kept: list[dict[str, Any]] = []
        for choice in choices:
            kept += self._choice(_only(_mapping(choice), _CHOICE), chunk)
        if kept or not choices:
            yield from self._out({**chunk, "choices": kept}, is_end=not choices)

    def finish(self) -> list[bytes]:
        """Return the events that end the stream; `Unavailable` if it was cut before its end."""
        choices = self._choices.values()
        if not (self._done and choices and all(choice.is_finished for choice in choices)):
            raise Unavailable(
                "upstream-cut",
                "the model's stream ended before the answer did",
                "try again; what came so far is incomplete",
            )
        return [*self._ending, b"[DONE]"]

    def transcript(self) -> bytes:
        """Return what the caller was sent so far, as JSON, for the sealed record."""
        return orjson.dumps(
            {
                str(index): {
                    **{name: "".join(text.sent) for name, text in choice.texts.items()},
                    "tool_calls": choice.done_calls,
                }
                for index, choice in self._choices.items()
            }
        )

    def _choice(self, choice: dict[str, Any], chunk: dict[str, Any]) -> list[dict[str, Any]]:
        """Rewrite one choice of a chunk; return what may go out of it now."""
        index = choice.get("index")
        if not isinstance(index, int):
            raise _garbage()
        state = self._choices.setdefault(index, _Choice())
        if state.is_finished:
            raise _garbage()
        delta = _only(_mapping(choice.get("delta") or {}), _MESSAGE)
        self._gather(state, delta.pop("tool_calls", None))
        for name in _TEXTS:
            if delta.get(name) is not None:
                delta[name] = self._text(state, name).feed(_text(delta[name]))
                if not delta[name] and len(delta) == 1:
                    del delta[name]
        if choice.get("finish_reason") is None:
            return [{**choice, "delta": delta}] if delta else []
        for name in [name for name in _TEXTS if name in state.texts]:
            delta[name] = (delta.get(name) or "") + state.texts[name].finish()
        if state.calls:
            delta["tool_calls"] = self._finish_calls(state)
        state.is_finished = True
        ending = {**chunk, "choices": [{**choice, "delta": {}}]}
        self._ending.append(orjson.dumps(ending))
        return [{**choice, "delta": delta, "finish_reason": None}] if delta else []

    def _out(self, chunk: dict[str, Any], *, is_end: bool) -> Iterator[bytes]:
        if is_end and self._ending:
            self._ending.append(orjson.dumps(chunk))
        else:
            yield orjson.dumps(chunk)

    def _text(self, state: _Choice, name: str) -> _Text | _Gathered:
        held = state.texts.get(name)
        if held is None:
            rewriting = self._rewriting
            if rewriting.writes_json:
                held = _Gathered(rewriting)
            else:
                held = _Text(rewriting.filter(), StreamRestorer(rewriting.placeholders))
            state.texts[name] = held
        return held

    def _gather(self, state: _Choice, fragments: Any) -> None:
        for fragment in _list(fragments or []):
            index = _mapping(fragment).get("index")
            if not isinstance(index, int):
                raise _garbage()
            function = _mapping(fragment.get("function") or {})
            call = state.calls.setdefault(index, _Call({"index": index}))
            call.head.update(
                {name: fragment[name] for name in ("id", "type") if fragment.get(name)}
            )
            if function.get("name"):
                call.head["name"] = _text(function["name"])
            call.arguments.append(_text(function.get("arguments") or ""))
            self._held += len(call.arguments[-1])
            if self._held > _MAX_HELD:
                raise _garbage()

    def _finish_calls(self, state: _Choice) -> list[dict[str, Any]]:
        rewriting = self._rewriting
        for call in state.calls.values():
            function = {
                "name": restore(call.head.pop("name", ""), rewriting.placeholders),
                "arguments": rewriting.whole("".join(call.arguments), is_json=True),
            }
            state.done_calls.append({**call.head, "function": function})
        return state.done_calls


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        return _mapping(orjson.loads(raw))
    except orjson.JSONDecodeError:
        raise _garbage() from None


def _only(fields: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in names}


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _garbage()
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _garbage()
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _garbage()
    return value


def _garbage() -> Unavailable:
    return Unavailable(
        "upstream-garbage",
        "the model's answer is not what its dialect promises",
        "try again, or go on without AI",
    )
