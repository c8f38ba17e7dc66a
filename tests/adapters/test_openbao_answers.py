"""What something else than OpenBao may answer, or one that does not do what it says."""

from __future__ import annotations

import base64
import json
import traceback
from typing import TYPE_CHECKING, Any, Final

import pytest

from openbao_imposter import imposter
from seawall.adapters.clock import SystemClock
from seawall.adapters.keys.openbao import (
    OpenBaoKeys,
    OpenBaoOperator,
    OpenBaoSettings,
    transit_name,
)
from seawall.app.ports import RootVersion, Secret, tenant_root
from seawall.core.errors import Error

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = tenant_root("clinic")
SECRET: Final = bytes(range(32))
CONTEXT: Final = "clinic\ndata\n1"
WRAPPED: Final = Secret(1, b"vault:v1:" + b"A" * 80)
KEYS: Final = f"/v1/transit/keys/{transit_name('seawall', NAME)}"
KEY: Final = {
    "type": "aes256-gcm96",
    "derived": True,
    "exportable": False,
    "allow_plaintext_backup": False,
    "latest_version": 2,
    "min_decryption_version": 1,
    "min_available_version": 0,
    "keys": {"1": 1_800_000_000, "2": 1_800_000_000},
}


def said(**changes: Any) -> bytes:
    """Return an answer that describes a key of ours."""
    return json.dumps({"data": {**KEY, **changes}}).encode()


def keys_at(url: str) -> OpenBaoKeys:
    """Return the provider that asks there."""
    return OpenBaoKeys(OpenBaoSettings(url), lambda: "token", SystemClock())


def operator_at(url: str) -> OpenBaoOperator:
    """Return the operator's side that asks there."""
    return OpenBaoOperator(OpenBaoSettings(url), lambda: "token", SystemClock())


def code(asked: Callable[[], Any]) -> str:
    """Return the code in which something ends, or nothing."""
    try:
        asked()
    except Error as error:
        return error.code
    return ""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    """A token is sent nowhere else, whatever would answer there."""
    opened = b'{"data": {"plaintext": "' + base64.b64encode(SECRET) + b'"}}'
    with (
        imposter(200, opened, others={f"GET {KEYS}": (200, said())}) as there,
        imposter(status, b"", {"Location": f"{there}{KEYS}"}) as url,
    ):
        assert SECRET == keys_at(there).unwrap(NAME, WRAPPED, CONTEXT)
        assert ["key-manager-unavailable"] * 2 == [
            code(lambda: keys_at(url).versions(NAME)),
            code(lambda: keys_at(url).unwrap(NAME, WRAPPED, CONTEXT)),
        ]


def test_a_change_that_is_answered_by_a_redirect_is_not_done() -> None:
    """Also where the key could be read before."""
    with imposter(307, b"", {"Location": "/"}, others={"GET": (200, said())}) as url:
        assert "key-manager-unavailable" == code(lambda: operator_at(url).rotate(NAME))


@pytest.mark.parametrize(
    "ask",
    [
        lambda operator: operator.rotate(NAME),
        lambda operator: operator.destroy(NAME),
        lambda operator: operator.destroy(NAME, below=2),
    ],
)
def test_what_the_server_does_not_confirm_is_not_done(ask: Callable[[Any], Any]) -> None:
    """It says yes to everything, and afterwards the key is what it was."""
    with imposter(204, b"", others={"GET": (200, said())}) as url:
        assert "key-manager-unavailable" == code(lambda: ask(operator_at(url)))


def test_a_raised_minimum_is_not_taken_for_a_trim() -> None:
    """The server lists the older version no more, and still has it."""
    raised = said(min_decryption_version=2, keys={"2": 1_800_000_000})
    with imposter(204, b"", others={"GET": (200, raised)}) as url:
        assert "key-manager-unavailable" == code(lambda: operator_at(url).destroy(NAME, below=2))


@pytest.mark.parametrize("path", ["rotate", "config", "trim"])
def test_a_change_that_the_server_cannot_do_is_refused(path: str) -> None:
    """It is neither taken for done nor for a broken server."""
    others = {f"POST {KEYS}/{path}": (400, b"{}"), "GET": (200, said())}
    with imposter(204, b"", others=others) as url:
        operator = operator_at(url)
        ask = operator.rotate if path == "rotate" else lambda name: operator.destroy(name, 2)
        assert "key-manager-refused" == code(lambda: ask(NAME))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ((200, said()), "key-manager-refused"),
        ((400, b"{}"), "key-manager-unavailable"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(key: tuple[int, bytes], expected: str) -> None:
    """A request that the server does not take is no sign of tampering."""
    others = {"GET": key, "POST /v1/transit/encrypt": (400, b"{}")}
    with imposter(500, b"", others=others) as url:
        assert expected == code(lambda: keys_at(url).wrap(NAME, SECRET, CONTEXT))


@pytest.mark.parametrize(
    "ciphertext", ["", "vault:v0:AAAA", "vault:v1:", "AAAA", "vault:v1:*", "vault:v1:AAAA", 7]
)
def test_what_is_no_ciphertext_is_not_kept(ciphertext: Any) -> None:
    """What came back from wrapping must be what unwrapping takes."""
    answer = json.dumps({"data": {"ciphertext": ciphertext}}).encode()
    others = {"GET": (200, said()), "POST /v1/transit/encrypt": (200, answer)}
    with imposter(500, b"", others=others) as url:
        wrapped = code(lambda: keys_at(url).wrap(NAME, SECRET, CONTEXT))
    assert "key-manager-unavailable" == wrapped


def test_what_opens_to_something_else_than_a_key_is_tampered() -> None:
    """A key has 32 bytes."""
    with imposter(200, b'{"data": {"plaintext": "AAAA"}}') as url:
        assert "wrapped-key-tampered" == code(lambda: keys_at(url).unwrap(NAME, WRAPPED, CONTEXT))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"not json",
        b'{"data": null}',
        b'{"data": {}}',
        b'{"data": {"plaintext": 7}}',
        b'{"data": {"plaintext": "*"}}',
        b'{"data": {"latest_version": "x", "min_decryption_version": 1, "keys": {}}}',
        b'{"data": {"latest_version": 1, "min_decryption_version": 1, "keys": []}}',
        b'{"data": {"latest_version": 1, "min_decryption_version": 1, "keys": {"1": '
        + b"9" * 20
        + b"}}}",
        said(filler="x" * (1 << 18)),
    ],
)
def test_an_answer_that_is_none_is_unavailable(body: bytes) -> None:
    """Whatever else answers there, nothing of it is taken for a key, nor held without a limit."""
    with imposter(200, body) as url:
        keys = OpenBaoKeys(OpenBaoSettings(url), lambda: "token", SystemClock())
        assert {"key-manager-unavailable"} == {
            code(lambda: keys.unwrap(NAME, WRAPPED, CONTEXT)),
            code(lambda: keys.wrap(NAME, SECRET, CONTEXT)),
            code(lambda: keys.versions(NAME)),
        }


def test_a_version_whose_time_is_told_in_another_way_has_none() -> None:
    """Vault tells the times of other kinds of keys otherwise; the version is there all the same."""
    said = b'{"data": {"latest_version": 1, "min_decryption_version": 1, "keys": {"1": {}}}}'
    with imposter(200, said) as url:
        keys = OpenBaoKeys(OpenBaoSettings(url), lambda: "token", SystemClock())
        assert [RootVersion(1, "enabled")] == keys.versions(NAME)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "key-manager-refused"),
        (403, "key-manager-refused"),
        (405, "key-manager-unavailable"),
        (412, "key-manager-unavailable"),
        (418, "key-manager-unavailable"),
        (429, "key-manager-unavailable"),
        (472, "key-manager-unavailable"),
        (500, "key-manager-unavailable"),
        (502, "key-manager-unavailable"),
        (503, "key-manager-unavailable"),
    ],
)
def test_what_a_server_says_instead_is_translated(status: int, expected: str) -> None:
    """Each status has its meaning, and nothing of the text is passed on."""
    body = b'{"errors": ["token hunter2 of host-7"]}'
    with imposter(status, body) as url:
        keys = OpenBaoKeys(OpenBaoSettings(url), lambda: "token", SystemClock())
        with pytest.raises(Error) as caught:
            keys.versions(NAME)
    told = "".join(traceback.format_exception(caught.value))
    assert (expected, False) == (caught.value.code, "hunter2" in told)


def test_an_answer_that_trickles_is_given_up() -> None:
    """A byte now and then does not hold a thread for longer than the limit."""
    clock = SystemClock()
    with imposter(200, b"x" * 600, slow=0.2) as url:
        keys = OpenBaoKeys(OpenBaoSettings(url), lambda: "token", clock)
        began = clock.monotonic()
        assert "key-manager-unavailable" == code(lambda: keys.versions(NAME))
    assert clock.monotonic() - began < 20
