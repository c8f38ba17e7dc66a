"""The demo's five exchanges, made by the real `openai` client over TLS."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import openai
import orjson

from seawall.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from seawall.demo.stage import Patient

_BOOK: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": "book_slot",
        "description": "Book a slot in the clinic's calendar.",
        "parameters": {
            "type": "object",
            "properties": {
                "patient_name": {"type": "string"},
                "mrn": {"type": "string"},
                "date": {"type": "string"},
                "time": {"type": "string"},
                "phone": {"type": "string"},
            },
            "required": ["patient_name", "mrn", "date", "time"],
        },
    },
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that the demo's application asks."""

    title: str
    use_case: str
    endpoint: str
    patient: Patient
    text: str
    is_stream: bool = False
    with_tool: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of it, as the application saw it and as the model saw it."""

    asked: Asked
    outcome: str
    code: str | None
    message: str
    sent_to_model: str | None
    answer: str | None
    entry: int | None

    def fields(self) -> dict[str, Any]:
        """Return the exchange as the demo's JSON output shows it."""
        return {
            "use_case": self.asked.use_case,
            "endpoint": self.asked.endpoint,
            "outcome": self.outcome,
            "code": self.code,
            "sent_to_model": self.sent_to_model,
            "answer": self.answer,
            "entry": self.entry,
        }


def script(patients: dict[str, Patient]) -> Iterator[Asked]:
    """Yield what the demo asks: plain, streamed, with a tool, and two that are refused."""
    koepp, schaden = patients["koepp"], patients["schaden"]
    yield Asked(
        "A plain exchange: a visit note is summarised",
        "visit-summary",
        "sandbox",
        koepp,
        f"Summarize this visit note for the care team.\n\n{koepp.notes[0]}",
    )
    yield Asked(
        "A streamed exchange: an appointment is brought to mind",
        "appointment-reminders",
        "sandbox",
        schaden,
        _reminder(schaden),
        is_stream=True,
    )
    yield Asked(
        "An exchange with a tool call: a slot is booked",
        "appointment-reminders",
        "sandbox",
        koepp,
        f"Book the slot. {_appointment(koepp)}",
        with_tool=True,
    )
    yield Asked(
        "Refused: the endpoint has no business associate agreement",
        "appointment-reminders",
        "consumer-chat",
        schaden,
        _reminder(schaden),
    )
    yield Asked(
        "Refused: a reminder needs no clinical text",
        "appointment-reminders",
        "sandbox",
        koepp,
        f"Write a reminder for the next visit.\n\n{koepp.notes[0]}",
    )


class Application:
    """The demo's application: an engineer's code that only changed its base URL."""

    def __init__(
        self, *, url: str, token: str, authority: Path, received: Callable[[], list[bytes]]
    ) -> None:
        """Take where Seawall is, a token, and how to ask the sandbox what reached it."""
        context = client_context(authority)
        self._client = openai.OpenAI(
            base_url=f"{url}/v1",
            api_key=token,
            http_client=openai.DefaultHttpxClient(verify=context),
            max_retries=0,
        )
        self._received = received

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def ask(self, asked: Asked) -> Answered:
        """Make one exchange; a refusal is a result, not an exception."""
        before = len(self._received())
        try:
            answer, entry = self._stream(asked) if asked.is_stream else self._plain(asked)
        except openai.APIStatusError as error:
            sent = self._received()[before:]
            said = error.body if isinstance(error.body, dict) else {}
            return Answered(
                asked,
                "refused",
                error.code,
                str(said.get("message", "")),
                sent[-1].decode() if sent else None,
                None,
                _index(error.response.headers.get("Seawall-Entry")),
            )
        sent = self._received()[before:]
        return Answered(
            asked, "answered", None, "", sent[-1].decode() if sent else None, answer, entry
        )

    def _plain(self, asked: Asked) -> tuple[str, int | None]:
        tools: dict[str, Any] = {"tools": [_BOOK]} if asked.with_tool else {}
        response = self._client.chat.completions.with_raw_response.create(
            **_request(asked), **tools
        )
        message = response.parse().choices[0].message
        calls = [
            {"name": call.function.name, "arguments": orjson.loads(call.function.arguments)}
            for call in message.tool_calls or ()
            if call.type == "function"
        ]
        answer = orjson.dumps(calls).decode() if calls else message.content or ""
        return answer, _index(response.headers.get("Seawall-Entry"))

    def _stream(self, asked: Asked) -> tuple[str, int | None]:
        response = self._client.chat.completions.with_raw_response.create(
            **_request(asked), stream=True
        )
        pieces = [
            chunk.choices[0].delta.content or "" for chunk in response.parse() if chunk.choices
        ]
        return "".join(pieces), _index(response.headers.get("Seawall-Entry"))


def _request(asked: Asked) -> dict[str, Any]:
    return {
        "model": asked.endpoint,
        "messages": [
            {"role": "system", "content": "You help the staff of a clinic."},
            {"role": "user", "content": asked.text},
        ],
        "extra_headers": {
            "Seawall-Use-Case": asked.use_case,
            "Seawall-Patient": asked.patient.reference,
        },
    }


def _reminder(patient: Patient) -> str:
    return f"Write a friendly reminder. {_appointment(patient)}"


def _appointment(patient: Patient) -> str:
    """Say who comes when, as a clinic's calendar would."""
    person = patient.patient()
    name = person["name"][0]
    address = person["address"][0]
    start = datetime.fromisoformat(patient.appointment()["start"])
    number = next(
        item["value"] for item in person["identifier"] if "hospital" in item.get("system", "")
    )
    return (
        f"Patient: {name['given'][0]} {name['family']}, phone {person['telecom'][0]['value']}, "
        f"MRN {number}, {address['line'][0]}, {address['city']}. "
        f"Appointment on {start:%B} {start.day}, {start.year} at {start:%H:%M}."
    )


def _index(header: str | None) -> int | None:
    return int(header) if header is not None else None
