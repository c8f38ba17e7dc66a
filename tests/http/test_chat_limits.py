"""The chat door keeps to what a token is limited to: use cases, and one patient."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from starlette.requests import Request

from practice import CLIENT_KEY, OPERATOR, TOKEN_URL, document, documents, opened, says
from seawall.app.issue_token import Wanted
from seawall.http.chat import ChatDoor
from seawall.http.metrics import Metrics
from token_desk import signed

if TYPE_CHECKING:
    from practice import Practice
    from seawall.core.phi.detection import Detector

ASKED = {"model": "model", "messages": [{"role": "user", "content": "hi"}]}


def door(practice: Practice) -> ChatDoor:
    """Return the door of a practice."""
    return ChatDoor(
        ask_model=practice.ask_model,
        issue_token=practice.issue_token,
        documents=practice.documents,
        metrics=Metrics(),
    )


async def token(practice: Practice, **wanted: Any) -> str:
    """Return a token of the client `app` with limits."""
    now = practice.clock.now_ms() // 1000
    claims = {"iss": "practice/app", "sub": "practice/app", "aud": TOKEN_URL}
    assertion = signed(CLIENT_KEY, {**claims, "iat": now, "exp": now + 120, "jti": "1"})
    return (await practice.issue_token.issue(assertion, None, Wanted(**wanted))).token


def request(token: str, **named: str) -> Request:
    """Return a request as the server hands it over, with headers of ours."""
    body = json.dumps(ASKED).encode()

    async def receive() -> dict[str, Any]:
        """Give the body."""
        return {"type": "http.request", "body": body, "more_body": False}

    ours = {f"seawall-{name.replace('_', '-')}": value for name, value in named.items()}
    headers = {"authorization": f"Bearer {token}", **ours}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    return Request(scope, receive)


async def answered(practice: Practice, token: str, **named: str) -> str:
    """Ask over the door; return the code of the error, or "answered"."""
    response = await door(practice).completions(request(token, **named))
    said = json.loads(bytes(response.body))
    return str(said["error"]["code"]) if "error" in said else "answered"


async def test_token_for_one_use_case_need_not_name_it(detector: Detector) -> None:
    """A client of three use cases, by a token for one of them, asks under that one."""
    practice = await opened(detector, says("hello"))
    limited = await token(practice, scope="use-case:blocking")

    assert "answered" == await answered(practice, limited)
    (intent,) = practice.entries("exchange.intent")
    assert "UseCase/blocking@1" in intent["decision"]["documents"]


async def test_token_for_other_use_cases_is_refused(detector: Detector) -> None:
    """A use case of the client to which the token is not open is refused."""
    practice = await opened(detector)
    limited = await token(practice, scope="use-case:blocking")

    assert "use-case-not-granted" == await answered(practice, limited, use_case="summary")


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"patient": "abdul"}, "answered"),
        ({"patient": "andy"}, "patient-not-granted"),
        ({}, "patient-not-granted"),
    ],
)
async def test_token_for_one_patient(
    named: dict[str, str], expected: str, detector: Detector
) -> None:
    """A token that is bound to a patient is good for requests about this patient alone."""
    practice = await opened(detector, says("hello"))
    limited = await token(practice, patient="abdul")

    assert expected == await answered(practice, limited, use_case="summary", **named)


@pytest.mark.parametrize(
    ("limits", "expected"), [({}, ["model"]), ({"scope": "use-case:nowhere"}, [])]
)
async def test_models_are_those_of_the_tokens_use_cases(
    limits: dict[str, str], expected: list[str], detector: Detector
) -> None:
    """A token lists the models of the use cases that it is open to, and no others."""
    practice = await opened(detector)
    nowhere = document("UseCase", "nowhere", title="N", justification="J", purpose="treatment")
    client = next(one for one in documents() if one["kind"] == "Client")
    client["spec"]["use_cases"].append("nowhere")
    await practice.documents.apply(OPERATOR, [nowhere, client])

    response = await door(practice).models(request(await token(practice, **limits)))

    assert expected == [one["id"] for one in json.loads(bytes(response.body))["data"]]
