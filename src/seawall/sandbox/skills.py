"""What the sandbox model can do: a table, read from top to bottom.

The first skill whose `applies` says yes answers. A new skill is a new row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from seawall.sandbox.dialect import ChatRequest, Tool, is_object
from seawall.sandbox.notes import summarise
from seawall.sandbox.reading import Reading
from seawall.sandbox.schema import fill

if TYPE_CHECKING:
    from collections.abc import Callable

INTRODUCTION: Final = (
    "I am the Seawall sandbox, not a real model. I can summarise a clinical note, "
    "write an appointment reminder, and book a slot when a tool for it is offered. "
    "I work by simple rules, offline, and give no medical advice."
)
INSTRUCTION_LENGTH: Final = 400
"""Characters at either end of a turn in which its instruction is looked for."""

_SUMMARY: Final = re.compile(r"\bsummar", re.IGNORECASE)
_REMINDER: Final = re.compile(r"\bremind", re.IGNORECASE)
_BOOKING: Final = re.compile(r"\b(?:re)?(?:book|schedul|reserv)", re.IGNORECASE)
_INTENTS: Final = (_SUMMARY, _REMINDER, _BOOKING)
_NAME_WORDS: Final = re.compile(r"[A-Za-z]{4,30}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says: text, or one call of a tool with its arguments as JSON text."""

    text: str = ""
    tool: str = ""
    arguments: str = ""

    @property
    def finish_reason(self) -> str:
        """Why the answer ends, in the dialect's words."""
        return "tool_calls" if self.tool else "stop"


@dataclass(frozen=True, slots=True)
class Skill:
    """One row of the table."""

    name: str
    applies: Callable[[ChatRequest], bool]
    answer: Callable[[ChatRequest], Answer]


def answer(request: ChatRequest) -> Answer:
    """Answer the conversation by the first skill that applies."""
    skill = next(skill for skill in SKILLS if skill.applies(request))
    given = skill.answer(request)
    if given.tool or skill.name == "echo" or request.response_format == "text":
        return given
    if request.response_format == "json_schema" and request.response_schema is not None:
        return Answer(_json(fill(request.response_schema, _reading(request))))
    return Answer(_json({"skill": skill.name, "text": given.text}))


def tool_to_call(request: ChatRequest) -> Tool | None:
    """Return the tool that this turn calls, or None.

    The caller's `tool_choice` binds. Left to itself, the sandbox calls a tool
    only to book, and takes the one that shares most words with the request.
    """
    if request.tool_choice == "none" or not request.tools:
        return None
    if request.tool_choice.startswith("function:"):
        wanted = request.tool_choice.removeprefix("function:")
        return next((tool for tool in request.tools if tool.name == wanted), None)
    if request.tool_choice != "required" and _intent(request) is not _BOOKING:
        return None
    said = _stems(request.said_by("system", "user"))
    return max(request.tools, key=lambda t: len(_stems(f"{t.name} {t.description}") & said))


def _stems(text: str) -> set[str]:
    """Return the first four letters of each word, so that booking meets book."""
    return {word[:4].lower() for word in _NAME_WORDS.findall(text.replace("_", " "))}


def _intent(request: ChatRequest) -> re.Pattern[str] | None:
    """Return which of the three things is asked: what the user says first, else the system."""
    for text in (request.last("user"), request.said_by("system", "developer")):
        edges = f"{text[:INSTRUCTION_LENGTH]}\n{text[-INSTRUCTION_LENGTH:]}"
        found = [(match.start(), intent) for intent in _INTENTS if (match := intent.search(edges))]
        if found:
            return min(found, key=lambda pair: pair[0])[1]
    return None


def _reading(request: ChatRequest) -> Reading:
    """Read the newest turn of the user first, then what was said before it."""
    return Reading(f"{request.last('user')}\n\n{request.said_by('user', 'system', 'developer')}")


def _answers_a_tool(request: ChatRequest) -> bool:
    return request.messages[-1].role == "tool" and request.tool_choice in {"auto", "none"}


def _confirm(request: ChatRequest) -> Answer:
    """Say what the tool answered, and for whom."""
    reading = _reading(request)
    called = [name for message in request.messages for name in message.called]
    done = f"{called[-1]} has answered" if called else "the tool has answered"
    whom = f" for {reading.patient()}" if reading.patient() else ""
    when = " at ".join(filter(None, [reading.date(), reading.time()]))
    on = f" on {when}" if when else ""
    details = ", ".join(_leaves("", _parsed(request.messages[-1].text)))
    return Answer(f"Done: {done}{whom}{on}. Result: {details or 'empty'}.")


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _leaves(name: str, value: Any) -> list[str]:
    """List what a tool answered, as `name value`."""
    if is_object(value):
        return [leaf for key, inner in value.items() for leaf in _leaves(key, inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(name, inner)]
    said = value if isinstance(value, str) else _json(value)
    return [f"{name.replace('_', ' ')} {said}".strip()] if said else []


def _call(request: ChatRequest) -> Answer:
    tool = tool_to_call(request)
    if tool is None:
        raise RuntimeError("the table asked for a tool call where no tool is to be called")
    filled = fill({"type": "object", **tool.parameters}, _reading(request))
    return Answer(tool=tool.name, arguments=_json(filled))


def _summarise(request: ChatRequest) -> Answer:
    said = [message.text for message in request.messages if message.role == "user"]
    note = max(said, key=len, default="")
    first, _, rest = note.partition("\n\n")
    if rest and _SUMMARY.search(first):
        note = rest
    patient = Reading(note).patient() or _reading(request).patient()
    return Answer(summarise(note, patient))


def _remind(request: ChatRequest) -> Answer:
    reading = _reading(request)
    hello = f"Hello {reading.patient()}, this" if reading.patient() else "Hello, this"
    sentences = [f"{hello} is a friendly reminder of your appointment"]
    if reading.date():
        sentences[0] += f" on {reading.date()}"
    if reading.time():
        sentences[0] += f" at {reading.time()}"
    if reading.clinician():
        sentences[0] += f" with {reading.clinician()}"
    if reading.phone():
        sentences.append(f"Please call {reading.phone()} if you need to change it")
    sentences.append("We look forward to seeing you")
    return Answer(". ".join(sentences) + ".")


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


SKILLS: Final[tuple[Skill, ...]] = (
    Skill("echo", lambda r: "echo" in r.switches, lambda r: Answer(r.last("user"))),
    Skill("confirm", _answers_a_tool, _confirm),
    Skill("call", lambda r: tool_to_call(r) is not None, _call),
    Skill("summary", lambda r: _intent(r) is _SUMMARY, _summarise),
    Skill("reminder", lambda r: _intent(r) is _REMINDER, _remind),
    Skill("introduction", lambda _: True, lambda _: Answer(INTRODUCTION)),
)
"""The skills, most particular first; the last one always applies."""
