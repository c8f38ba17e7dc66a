"""Tokens over HTTP: RFC 6749, RFC 7523, and what a client's document changes at once."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from seawall.adapters.tokens import sign_assertion
from seawall.compose import new_client_key

if TYPE_CHECKING:
    from clinic import Reply, Server, Upstream

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GREETING = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


def trade(server: Server, **form: str) -> Reply:
    """Post a form to the token endpoint."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return server.send("POST", "/oauth2/token", urlencode(form).encode(), headers)


def grant(server: Server, assertion: str) -> Reply:
    """Ask for a token by the client credentials grant."""
    return trade(
        server,
        grant_type="client_credentials",
        client_assertion_type=ASSERTION_TYPE,
        client_assertion=assertion,
    )


def assertion(server: Server, key: str = "app", **changed: Any) -> str:
    """Return an assertion of the client app, with changed claims, signed with a client's key."""
    now = int(time.time())
    claims = {
        "iss": "riverside/app",
        "sub": "riverside/app",
        "aud": server.clinic.installation.settings.token_url,
        "iat": now,
        "exp": now + 120,
        "jti": base64.b16encode(str(time.perf_counter_ns()).encode()).decode(),
        **changed,
    }
    present = {name: value for name, value in claims.items() if value is not None}
    return sign_assertion(server.clinic.keys[key], present)


def test_client_credentials_grant_gives_a_token_for_ten_minutes(server: Server) -> None:
    """The grant client_credentials with a signed assertion gives a bearer token (RFC 7523, 2.2)."""
    answer = grant(server, assertion(server)).json()

    assert ("Bearer", 600) == (answer["token_type"], answer["expires_in"])
    assert "answered" == ask(server, answer["access_token"]).code


def test_jwt_bearer_grant_gives_a_token(server: Server) -> None:
    """The grant jwt-bearer gives a token as well (RFC 7523, 2.1)."""
    answer = trade(server, grant_type=JWT_BEARER, assertion=assertion(server)).json()

    assert "answered" == ask(server, answer["access_token"]).code


def test_token_is_an_entry_of_the_systems_log(server: Server) -> None:
    """Each token is an entry of the system's log that names the client."""
    grant(server, assertion(server))

    last = server.clinic.entries("system")[-1]

    assert ("token.issue", "app") == (last["action"], last["actor"]["name"])


def test_replayed_assertion_is_refused(server: Server) -> None:
    """An assertion works once (RFC 7523, section 3, point 7)."""
    once = assertion(server)
    grant(server, once)

    again = grant(server, once)

    assert (401, "assertion-reused") == (again.status, again.json()["code"])


def test_replay_under_the_other_grant_is_refused(server: Server) -> None:
    """An assertion that was used under one grant does not work under the other."""
    once = assertion(server)
    grant(server, once)

    assert 401 == trade(server, grant_type=JWT_BEARER, assertion=once).status


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://localhost/other"},
        {"aud": None},
        {"aud": ["https://elsewhere.example/oauth2/token"]},
        {"exp": 3600},
        {"exp": -60},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": 1e12},
        {"iat": 300},
        {"jti": None},
        {"jti": 7},
        {"sub": "riverside/admin"},
        {"sub": None},
    ],
    ids=str,
)
def test_assertion_with_a_wrong_claim_is_refused(changed: dict[str, Any], server: Server) -> None:
    """An assertion for another audience, too long-lived, expired or incomplete is refused.

    Whole numbers are seconds from now.
    """
    now = int(time.time())
    claims: dict[str, Any] = {
        name: now + value if name in ("exp", "iat") and isinstance(value, int) else value
        for name, value in changed.items()
    }
    reply = grant(server, assertion(server, **claims))

    assert (401, "assertion-refused") == (reply.status, reply.json()["code"])
    assert "invalid_client" == reply.json()["error"]


def test_unknown_client_is_answered_as_a_wrong_key_is(server: Server) -> None:
    """Who guesses client names learns nothing: unknown client and wrong key answer alike."""
    unknown = {"iss": "riverside/nobody", "sub": "riverside/nobody"}
    elsewhere = {"iss": "nowhere/app", "sub": "nowhere/app"}

    wrong_key = grant(server, assertion(server, key="bare"))

    assert wrong_key.body == grant(server, assertion(server, **unknown)).body
    assert wrong_key.body == grant(server, assertion(server, **elsewhere)).body
    assert 401 == wrong_key.status


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"grant_type": "password", "username": "a", "password": "b"},
        {"grant_type": "client_credentials", "client_id": "app", "client_secret": "secret"},
        {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE},
        {"grant_type": JWT_BEARER, "client_assertion": "x"},
        {"grant_type": JWT_BEARER, "assertion": "not-a-token"},
        {"grant_type": JWT_BEARER, "assertion": "a.b.c"},
        {"grant_type": JWT_BEARER, "assertion": "x" * 10_000},
    ],
    ids=lambda form: str(form)[:60],
)
def test_form_that_is_no_grant_is_refused(form: dict[str, str], server: Server) -> None:
    """Passwords, shared secrets, half a form and garbage are `invalid_request`."""
    reply = trade(server, **form)

    assert (400, "invalid_request") == (reply.status, reply.json()["error"])
    assert reply.json()["error_description"]


def test_form_with_a_field_twice_is_refused(server: Server) -> None:
    """A parameter must not come twice (RFC 6749, section 3.2)."""
    body = urlencode({"grant_type": JWT_BEARER, "assertion": assertion(server)})

    assert 400 == server.send("POST", "/oauth2/token", f"{body}&assertion=x".encode()).status


def test_form_over_the_limit_is_refused(server: Server) -> None:
    """A form over 16 KiB is refused before it is read to its end."""
    assert 413 == server.send("POST", "/oauth2/token", b"a=" + b"b" * 20_000).status


def test_form_that_is_not_ascii_is_refused(server: Server) -> None:
    """A form of arbitrary bytes is refused."""
    assert 400 == server.send("POST", "/oauth2/token", b"grant_type=\xff\x00").status


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "token-missing"),
        ("", "token-missing"),
        ("Basic YXBwOmFwcA==", "token-missing"),
        ("Bearer ", "token-missing"),
        ("Bearer garbage", "token-foreign"),
        ("Bearer a.b.c", "token-foreign"),
        ("Bearer " + "x" * 20_000, "token-foreign"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_request_without_a_good_token_is_refused(
    authorization: str | None, code: str, server: Server, upstream: Upstream
) -> None:
    """No token and garbage are 401, with WWW-Authenticate, and nothing leaves."""
    given = {} if authorization is None else {"Authorization": authorization}

    reply = server.send("POST", "/v1/chat/completions", json.dumps(GREETING).encode(), given)

    assert (401, code, "Bearer") == (reply.status, reply.code, reply.headers["WWW-Authenticate"])
    assert [] == upstream.received()


def test_foreign_token_is_refused(server: Server, upstream: Upstream) -> None:
    """A token with the right claims under another key is foreign."""
    now = int(time.time())
    claims = {"iss": "seawall", "aud": "seawall", "sub": "riverside/app", "exp": now + 600}

    reply = ask(server, sign_assertion(new_client_key(), claims))

    assert (401, "token-foreign") == (reply.status, reply.code)
    assert [] == upstream.received()


def test_assertion_is_no_token(server: Server, upstream: Upstream) -> None:
    """A client's own assertion does not pass for a token."""
    assert "token-foreign" == ask(server, assertion(server)).code
    assert [] == upstream.received()


def test_token_without_an_algorithm_is_refused(server: Server, upstream: Upstream) -> None:
    """A token that names the algorithm `none` is foreign."""
    head, body, _ = server.token().split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()

    assert "token-foreign" == ask(server, f"{unsigned}.{body}.").code
    assert "token-foreign" == ask(server, f"{head}.{body}.").code
    assert [] == upstream.received()


def test_changed_document_counts_at_once(server: Server, upstream: Upstream) -> None:
    """A client loses and gains use cases at once, with the token that it holds already."""
    token = server.token("changing")
    granted = [ask(server, token, "visit-summary").code, ask(server, token, "blocking").code]

    change_client(server, use_cases=["blocking"])
    changed = [ask(server, token, "visit-summary").code, ask(server, token, "blocking").code]
    change_client(server, use_cases=["visit-summary"])

    assert ["answered", "use-case-not-granted"] == granted
    assert ["use-case-not-granted", "answered"] == changed
    assert 2 == len(upstream.received())


def limited(server: Server, **limits: str) -> str:
    """Return a token of the client `app` that is limited."""
    reply = trade(
        server,
        grant_type="client_credentials",
        client_assertion_type=ASSERTION_TYPE,
        client_assertion=assertion(server),
        **limits,
    )
    return str(reply.json()["access_token"])


def test_a_token_asks_under_its_own_use_cases_alone(server: Server, upstream: Upstream) -> None:
    """A use case of the client's that the token is not for is refused, and nothing leaves."""
    token = limited(server, scope="use-case:visit-summary")

    assert "answered" == ask(server, token).code
    upstream.forget()
    assert "use-case-not-granted" == ask(server, token, "appointment-reminders").code
    assert [] == upstream.received()


def test_a_client_cannot_ask_for_another_s_use_case(server: Server, upstream: Upstream) -> None:
    """Neither by a scope nor by a header."""
    own = server.token("narrow")
    claims = {"iss": "riverside/narrow", "sub": "riverside/narrow"}
    scoped = trade(
        server,
        grant_type="client_credentials",
        client_assertion_type=ASSERTION_TYPE,
        client_assertion=assertion(server, key="narrow", **claims),
        scope="use-case:appointment-reminders",
    )

    assert (400, "invalid_scope") == (scoped.status, scoped.json()["error"])
    assert "use-case-not-granted" == ask(server, own, "appointment-reminders").code
    assert [] == upstream.received()


def test_a_patient_s_token_asks_about_no_other(server: Server, upstream: Upstream) -> None:
    """A request that names another patient, or none, is refused, and nothing leaves."""
    koepp, toy = (server.clinic.patients[name].reference for name in ("koepp", "toy"))
    token = limited(server, patient=koepp)
    headers = {"Authorization": f"Bearer {token}", "Seawall-Use-Case": "visit-summary"}

    def about(**named: str) -> str:
        """Ask about a patient; return how it ended."""
        body = json.dumps(GREETING).encode()
        return server.send("POST", "/v1/chat/completions", body, {**headers, **named}).code

    refused = [about(**{"Seawall-Patient": toy}), about()]

    assert ["patient-not-granted", "patient-not-granted"] == refused
    assert [] == upstream.received()
    assert "answered" == about(**{"Seawall-Patient": koepp})


def test_a_static_key_is_told_apart(server: Server) -> None:
    """A long-lived key of another service is refused in words that say what to do."""
    reply = ask(server, "sk-proj-4f9a8b7c6d5e4f3a2b1c")

    assert (401, "static-key-refused") == (reply.status, reply.code)


def test_replaced_key_ends_what_the_old_one_could_do(server: Server) -> None:
    """After a client's key was replaced, assertions under the old one are refused."""
    old, server.clinic.keys["changing"] = server.clinic.keys["changing"], new_client_key()
    change_client(server, use_cases=["visit-summary"])
    claims = {"iss": "riverside/changing", "sub": "riverside/changing"}
    new = grant(server, assertion(server, key="changing", **claims)).status
    fresh, server.clinic.keys["changing"] = server.clinic.keys["changing"], old

    refused = grant(server, assertion(server, key="changing", **claims)).status
    change_client(server, use_cases=["visit-summary"])

    assert old != fresh
    assert (200, 401) == (new, refused)


@pytest.mark.parametrize("client", ["app", "bare"])
def test_client_without_may_apply_may_not_apply(client: str, server: Server) -> None:
    """Applying documents takes a client whose document says so."""
    body = json.dumps([{"kind": "Retention", "name": "tenant", "spec": {"years": 7}}]).encode()
    reply = server.send("POST", "/api/documents", body, server.headers(client))

    assert (403, "access-refused") == (reply.status, reply.code)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "body-invalid"),
        (b"\xff", "body-invalid"),
        (b"{}", "documents-not-list"),
        (b"[]", "documents-not-list"),
        (b"[1]", "documents-not-list"),
        (b'"a"', "documents-not-list"),
        (b"null", "documents-not-list"),
    ],
)
def test_documents_that_are_no_list_are_refused(body: bytes, code: str, server: Server) -> None:
    """What is not a JSON list of documents is refused whole."""
    reply = server.send("POST", "/api/documents", body, server.headers("admin"))

    assert (400, code) == (reply.status, reply.code)


def test_invalid_document_changes_nothing(server: Server) -> None:
    """If one document of a list is invalid, none is applied, and no value is repeated."""
    size = len(server.clinic.entries())
    good = {"kind": "Client", "name": "fresh", "spec": client_spec(server, [])}
    bad = {"kind": "Client", "name": "other", "spec": {"title": "x", "secret": "Koepp"}}

    body = json.dumps([good, bad]).encode()
    reply = server.send("POST", "/api/documents", body, server.headers("admin"))

    assert 400 == reply.status
    assert b"Koepp" not in reply.body
    assert size == len(server.clinic.entries())


def test_documents_and_models_take_a_token(server: Server) -> None:
    """Applying documents and listing models without a token is 401."""
    assert 401 == server.send("GET", "/v1/models").status
    assert 401 == server.send("POST", "/api/documents", b"[]").status


def ask(server: Server, token: str, use_case: str = "visit-summary") -> Reply:
    """Ask something harmless with a token."""
    headers = {"Authorization": f"Bearer {token}", "Seawall-Use-Case": use_case}
    return server.send("POST", "/v1/chat/completions", json.dumps(GREETING).encode(), headers)


def client_spec(server: Server, named: list[str]) -> dict[str, Any]:
    """Return the spec of the client `changing` as its key stands now."""
    public = {n: v for n, v in server.clinic.keys["changing"].items() if n != "d"}
    return {"title": "changing", "public_key": public, "use_cases": named}


def change_client(server: Server, *, use_cases: list[str]) -> None:
    """Apply the client `changing` over the API, as the terminal does."""
    document = {
        "kind": "Client",
        "name": "changing",
        "spec": client_spec(server, use_cases),
    }
    body = json.dumps([document]).encode()
    reply = server.send("POST", "/api/documents", body, server.headers("operator"))
    assert 200 == reply.status
