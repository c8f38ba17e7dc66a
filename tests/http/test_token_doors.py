"""The token endpoints' own shapes, and headers that count for nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from starlette.requests import Request

from seawall.app.ports import SYSTEM_LOG
from seawall.core.errors import Error
from seawall.http.errors import error_headers, status
from seawall.http.oauth import TokenDoor
from seawall.http.requests import bearer
from token_desk import TOKEN_URL, Desk, code

if TYPE_CHECKING:
    from starlette.responses import Response

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
SMUGGLED = {
    "X-Client-Cert": "a",
    "X-SSL-Client-Cert": "a",
    "X-SSL-Client-Verify": "SUCCESS",
    "Client-Cert": ":YQ==:",
    "X-Forwarded-Client-Cert": "Hash=00",
    "Forwarded": "for=10.0.0.1;host=elsewhere.example;proto=https",
    "X-Forwarded-Host": "elsewhere.example",
    "X-Forwarded-Proto": "http",
    "X-Original-URL": "/v1/other",
    "X-HTTP-Method-Override": "POST",
    "Host": "elsewhere.example",
    "X-Seawall-Use-Cases": "billing",
    "Seawall-Scope": "use-case:billing",
}


def request(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Request:
    """Return a request as the server hands it over."""

    async def receive() -> dict[str, Any]:
        """Give the body."""
        return {"type": "http.request", "body": body, "more_body": False}

    given = [(n.lower().encode(), v.encode()) for n, v in (headers or {}).items()]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": given,
        "extensions": {"tls": {"client_cert_sha256": None}},
    }
    return Request(scope, receive)


async def trade(
    desk: Desk, headers: dict[str, str] | None = None, *, to: str = "token", **form: str | None
) -> tuple[Response, Any]:
    """Post a form with a fresh assertion of `app` to an endpoint; return the answer, parsed too."""
    whole = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": desk.assertion(),
        **form,
    }
    door = TokenDoor(desk.here.issue_token, TOKEN_URL)
    body = urlencode({name: value for name, value in whole.items() if value is not None}).encode()
    answered = await getattr(door, to)(request("POST", f"/oauth2/{to}", body, headers))
    return answered, json.loads(answered.body)


async def test_a_scope_is_told_back() -> None:
    """A token that is limited says to what (RFC 6749, section 5.1)."""
    desk = await Desk().open()

    _, answer = await trade(desk, scope="use-case:summary")

    assert ("Bearer", "use-case:summary") == (answer["token_type"], answer["scope"])


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"scope": "use-case:billing"}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"patient": "a\x00b"}, "invalid_request"),
        ({"patient": "x" * 201}, "invalid_request"),
        ({"subject_token": "x", "subject_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"grant_type": EXCHANGE}, "invalid_request"),
        ({"grant_type": EXCHANGE, "subject_token": "x"}, "invalid_request"),
        (
            {"grant_type": EXCHANGE, "subject_token": "x", "subject_token_type": ACCESS_TOKEN},
            "invalid_request",
        ),
        ({"actor_token": "x"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
    ],
    ids=str,
)
async def test_what_cannot_be_granted_is_a_400(form: dict[str, Any], expected: str) -> None:
    """Each with the error that OAuth has for it."""
    desk = await Desk().open()

    answered, answer = await trade(desk, **form)

    assert (400, expected) == (answered.status_code, answer["error"])


@pytest.mark.parametrize(
    "blank",
    [
        *("scope", "patient", "subject_token", "subject_token_type", "actor_token"),
        *("requested_token_type", "client_id", "anything"),
    ],
)
async def test_a_blank_limit_gives_no_token(blank: str) -> None:
    """A limit that came out blank by mistake is not a token for everything."""
    desk = await Desk().open()

    answered, answer = await trade(desk, None, **{blank: ""})

    assert (400, "field-blank") == (answered.status_code, answer["code"])
    assert "access_token" not in answer
    assert "token.issue" not in {one["action"] for one in desk.ledger.bodies(SYSTEM_LOG)}


async def test_one_blank_limit_beside_another_gives_no_token() -> None:
    """A token for a patient and every use case is not what was asked for."""
    desk = await Desk().open()

    answered, answer = await trade(desk, scope="", patient="MRN-7")

    assert (400, "field-blank") == (answered.status_code, answer["code"])


async def test_a_blank_token_is_not_taken_back() -> None:
    """The form of a revocation has no blank fields either."""
    desk = await Desk().open()

    answered, answer = await trade(desk, to="revoke", grant_type=None, token="")

    assert (400, "field-blank") == (answered.status_code, answer["code"])


async def test_a_proof_makes_a_bound_token_and_tells_the_nonce() -> None:
    """The type is DPoP, and the header has what the next proof must repeat (RFC 9449, 5 and 8)."""
    desk = await Desk().open()
    proof = desk.proof(path="/oauth2/token").proof

    answered, answer = await trade(desk, {"DPoP": proof})

    assert "DPoP" == answer["token_type"]
    assert desk.here.issue_token.nonce() == answered.headers["DPoP-Nonce"]


async def test_a_wrong_proof_is_invalid_dpop_proof() -> None:
    """Its error is RFC 9449's, and a 400."""
    desk = await Desk().open()

    answered, answer = await trade(desk, {"DPoP": desk.proof().proof})

    assert (400, "invalid_dpop_proof") == (answered.status_code, answer["error"])


async def test_an_exchange_says_what_it_gave() -> None:
    """The type of the token that was issued is told (RFC 8693, section 2.2.1)."""
    desk = await Desk().open()
    subject = await desk.here.acting.subject_token(await desk.person(), "app")

    _, answer = await trade(
        desk, grant_type=EXCHANGE, subject_token=subject, subject_token_type=ACCESS_TOKEN
    )

    assert ACCESS_TOKEN == answer["issued_token_type"]
    assert "ann" == (await desk.caller(answer["access_token"])).acting_user


async def test_giving_a_token_back_answers_alike_for_every_token() -> None:
    """A token of ours and nonsense are both 200; without an assertion it is refused (RFC 7009)."""
    desk = await Desk().open()
    token = await desk.token()

    given = [(await trade(desk, to="revoke", token=one))[0].status_code for one in (token, "x")]
    refused, answer = await trade(desk, to="revoke", token=token, client_assertion="")

    assert [200, 200] == given
    assert (400, "invalid_request") == (refused.status_code, answer["error"])
    assert "token-revoked" == await code(desk.caller(token))


async def test_the_metadata_names_endpoints_of_the_settings() -> None:
    """Addresses are the configured ones, whatever the request's headers say (RFC 8414)."""
    desk = await Desk().open()
    door = TokenDoor(desk.here.issue_token, TOKEN_URL)

    answered = await door.metadata(
        request("GET", "/.well-known/oauth-authorization-server", headers=SMUGGLED)
    )
    told = json.loads(bytes(answered.body))

    assert ("https://seawall.example", TOKEN_URL) == (told["issuer"], told["token_endpoint"])
    assert ["private_key_jwt"] == told["token_endpoint_auth_methods_supported"]
    assert "elsewhere" not in str(told)


async def asked(desk: Desk, headers: dict[str, str], path: str = "/v1/models") -> Any:
    """Return whom a request speaks for."""
    return await desk.here.issue_token.identify(bearer(request("GET", path, headers=headers)))


async def test_a_bound_token_over_http() -> None:
    """The scheme DPoP with a proof passes; Bearer, or no proof, is told what is missing."""
    desk = await Desk().open()
    token = await desk.bound_token()
    proof = {"DPoP": desk.proof(token=token).proof}

    assert "done" == await code(asked(desk, {"Authorization": f"DPoP {token}", **proof}))
    assert "proof-missing" == await code(asked(desk, {"Authorization": f"Bearer {token}"}))
    with pytest.raises(Error) as refused:
        await asked(desk, {"Authorization": f"DPoP {token}"})
    assert 401 == status(refused.value)
    assert error_headers(refused.value)["WWW-Authenticate"].startswith("DPoP ")


async def test_a_missing_nonce_is_told() -> None:
    """The answer is 401 with use_dpop_nonce and the nonce (RFC 9449, section 9)."""
    desk = await Desk().open()
    token = await desk.bound_token()
    proof = desk.proof(token=token, nonce=None).proof

    with pytest.raises(Error) as refused:
        await asked(desk, {"Authorization": f"DPoP {token}", "DPoP": proof})
    headers = error_headers(refused.value)

    assert 'error="use_dpop_nonce"' in headers["WWW-Authenticate"]
    assert desk.here.issue_token.nonce() == headers["DPoP-Nonce"]


async def test_no_header_is_a_certificate_or_another_address() -> None:
    """A token that must be bound stays unbound, and a proof is for the configured name."""
    desk = await Desk().open()
    unbound, bound = await desk.token(), await desk.bound_token()
    elsewhere = desk.proof(token=bound, htu="https://elsewhere.example/v1/models").proof
    await desk.register(certificate_bound=True)

    bearing = {"Authorization": f"Bearer {unbound}", **SMUGGLED}
    assert "token-unbound" == await code(asked(desk, bearing))
    await desk.register()
    given = {"Authorization": f"DPoP {bound}", "DPoP": elsewhere, **SMUGGLED}
    assert "proof-refused" == await code(asked(desk, given))


async def test_no_header_widens_a_token() -> None:
    """What a token is limited to is in the token alone."""
    desk = await Desk().open()
    token = await desk.token(scope="use-case:summary", patient="MRN-7")

    caller = await asked(desk, {"Authorization": f"Bearer {token}", **SMUGGLED})

    assert frozenset({"summary"}) == caller.use_cases
    assert not caller.is_for_patient("MRN-8")


async def test_two_credentials_are_none() -> None:
    """A request with two tokens, or two proofs, is refused: nobody could say which was meant."""
    desk = await Desk().open()
    token = await desk.bound_token()
    proof = desk.proof(token=token).proof.encode()
    said = [(b"authorization", f"DPoP {token}".encode()), (b"dpop", proof)]

    for twice in (said[0], said[1]):
        doubled = request("GET", "/v1/models")
        doubled.scope["headers"] = [*said, twice]
        with pytest.raises(Error) as refused:
            bearer(doubled)
        assert refused.value.code in {"token-missing", "wrong-header"}
