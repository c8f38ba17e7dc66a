"""OpenBao as the key manager, on a real server: rights, failures, and what destruction leaves."""

from __future__ import annotations

import asyncio
import base64
import traceback
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

import openbao
from fakes import FakeClock
from seawall.adapters.clock import SystemClock
from seawall.adapters.keys.guarded import GuardedKeyManager
from seawall.adapters.keys.openbao import (
    OpenBaoKeys,
    OpenBaoOperator,
    OpenBaoSettings,
    transit_name,
)
from seawall.app.ports import ROOT_NAME, Secret, tenant_root
from seawall.core.errors import Error, Invalid, Missing, Refused, Tampered, Unavailable
from seawall.core.gateway.breaker import Breaker
from seawall.core.registers.spec import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from openbao import BaoServer

NAME: Final = tenant_root("clinic")
SECRET: Final = bytes(range(32))
CONTEXT: Final = "clinic\ndata\n1"
FORBIDDEN: Final = 403
PLAIN: Final = base64.b64encode(SECRET).decode()


@pytest.fixture
def server() -> BaoServer:
    """Return the server that tests share."""
    return openbao.server()


@pytest.fixture
def prefix() -> str:
    """Return a prefix of this test's own."""
    return openbao.new_prefix()


@pytest.fixture(scope="module")
def own() -> Iterator[BaoServer]:
    """Run a server that tests may seal, stop and pause; each leaves it as it was."""
    with openbao.running() as made:
        yield made


def code(asked: Callable[[], Any]) -> str:
    """Return the code in which something ends, or nothing."""
    try:
        asked()
    except Error as error:
        return error.code
    return ""


# --- what the tokens may do --------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "keys/{mine}", {"type": "aes256-gcm96"}),
        ("POST", "keys/{mine}-new", {"type": "aes256-gcm96"}),
        ("POST", "encrypt/{mine}-new", {"plaintext": PLAIN, "context": PLAIN}),
        ("POST", "keys/{mine}/rotate", {}),
        ("POST", "keys/{mine}/config", {"min_decryption_version": 1}),
        ("POST", "keys/{mine}/trim", {"min_available_version": 1}),
        ("DELETE", "keys/{mine}", None),
        ("DELETE", "keys/{mine}/soft-delete", None),
        ("GET", "export/encryption-key/{mine}", None),
        ("GET", "backup/{mine}", None),
        ("LIST", "keys", None),
        ("GET", "keys/{others}", None),
        ("POST", "encrypt/{others}", {"plaintext": PLAIN, "context": PLAIN}),
        ("POST", "decrypt/{others}", {"ciphertext": "vault:v1:AAAA", "context": PLAIN}),
    ],
)
def test_the_service_may_wrap_and_unwrap_its_own_and_nothing_else(
    server: BaoServer, prefix: str, method: str, path: str, body: Any
) -> None:
    """The documented policy denies everything else: to make, change, destroy or copy a key."""
    others = openbao.new_prefix()
    for each in (prefix, others):
        server.operator(each).make(NAME)
    token = server.token(prefix)
    names = {"mine": transit_name(prefix, NAME), "others": transit_name(others, NAME)}
    status, _ = server.ask_as(token, method, "transit/" + path.format(**names), body)
    assert FORBIDDEN == status


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "decrypt/{mine}", {"ciphertext": "vault:v1:AAAA", "context": PLAIN}),
        ("POST", "encrypt/{mine}", {"plaintext": PLAIN, "context": PLAIN}),
        ("POST", "rewrap/{mine}", {"ciphertext": "vault:v1:AAAA", "context": PLAIN}),
        ("GET", "export/encryption-key/{mine}", None),
        ("GET", "backup/{mine}", None),
        ("POST", "keys/{mine}/config", {"exportable": True}),
        ("POST", "keys/{mine}/config", {"exportable": "true"}),
        ("POST", "keys/{mine}/config", {"allow_plaintext_backup": True}),
        ("POST", "keys/{mine}-new", {"type": "aes256-gcm96", "exportable": True}),
        ("POST", "keys/{mine}-new/import", {"type": "aes256-gcm96", "ciphertext": PLAIN}),
        ("GET", "keys/{others}", None),
        ("POST", "keys/{others}", {}),
        ("DELETE", "keys/{others}", None),
    ],
)
def test_an_operator_cannot_unwrap_nor_copy_a_key(
    server: BaoServer, prefix: str, method: str, path: str, body: Any
) -> None:
    """The documented policy lets an operator make and destroy keys, and never use or see one."""
    others = openbao.new_prefix()
    for each in (prefix, others):
        server.operator(each).make(NAME)
    token = server.token(prefix, is_operator=True)
    names = {"mine": transit_name(prefix, NAME), "others": transit_name(others, NAME)}
    status, _ = server.ask_as(token, method, "transit/" + path.format(**names), body)
    assert FORBIDDEN == status


def test_the_services_token_makes_no_key(server: BaoServer, prefix: str) -> None:
    """With it in an operator's place, each thing that only an operator may is refused."""
    server.operator(prefix).make(NAME)
    held = server.token(prefix)
    operator = OpenBaoOperator(server.settings(prefix), lambda: held, SystemClock())
    assert ["key-manager-refused"] * 3 == [
        code(lambda: operator.make(ROOT_NAME)),
        code(lambda: operator.rotate(NAME)),
        code(lambda: operator.destroy(NAME)),
    ]
    assert [1] == [one.version for one in server.keys(prefix).versions(NAME)]


def test_a_revoked_token_is_replaced_by_the_renewed_one(server: BaoServer, prefix: str) -> None:
    """The token is asked for again when it is refused, once, and the call succeeds."""
    server.operator(prefix).make(NAME)
    tokens = [server.token(prefix), server.token(prefix)]
    given: list[str] = []

    def token() -> str:
        given.append(tokens[min(len(given), 1)])
        return given[-1]

    keys = server.keys(prefix, token)
    secret = keys.wrap(NAME, SECRET, CONTEXT)
    server.revoke(tokens[0])
    assert (SECRET, tokens) == (keys.unwrap(NAME, secret, CONTEXT), given)


def test_a_revoked_token_without_another_is_refused(server: BaoServer, prefix: str) -> None:
    """It is not tried for ever, and the error names neither it nor the server's words."""
    server.operator(prefix).make(NAME)
    held = server.token(prefix)
    keys = server.keys(prefix, lambda: held)
    server.revoke(held)
    with pytest.raises(Refused) as caught:
        keys.versions(NAME)
    told = "".join(traceback.format_exception(caught.value)) + repr(keys)
    assert "key-manager-refused" == caught.value.code
    assert [] == [word for word in (held, "permission denied", "127.0.0.1") if word in told]


@pytest.mark.parametrize("token", [None, "", "a b", "x\ny", "ü", "x" * 9_000])
def test_what_is_no_token_is_not_sent(server: BaoServer, prefix: str, token: str | None) -> None:
    """Without a token, or with something that cannot be one, nothing is asked."""
    keys = server.keys(prefix, lambda: token)
    assert "key-manager-refused" == code(lambda: keys.versions(NAME))


# --- keys as somebody else left them ---------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        {"type": "aes256-gcm96"},
        {"type": "aes256-gcm96", "derived": True, "exportable": True},
        {"type": "aes256-gcm96", "derived": True, "allow_plaintext_backup": True},
        {"type": "aes256-gcm96", "derived": True, "convergent_encryption": True},
        {"type": "chacha20-poly1305", "derived": True},
    ],
)
def test_nothing_is_wrapped_under_a_weaker_key(
    server: BaoServer, prefix: str, made: dict[str, Any]
) -> None:
    """A key that binds no context, or can be copied, is refused whoever made it."""
    server.ask("POST", f"transit/keys/{transit_name(prefix, NAME)}", made)
    assert ["root-key-unfit"] * 2 == [
        code(lambda: server.operator(prefix).make(NAME)),
        code(lambda: server.keys(prefix).wrap(NAME, SECRET, CONTEXT)),
    ]


def test_a_soft_deleted_key_is_disabled(server: BaoServer, prefix: str) -> None:
    """It neither wraps nor unwraps, is told as disabled, and works again when restored."""
    server.operator(prefix).make(NAME)
    keys, place = server.keys(prefix), f"transit/keys/{transit_name(prefix, NAME)}"
    secret = keys.wrap(NAME, SECRET, CONTEXT)
    server.ask("DELETE", f"{place}/soft-delete")
    assert ("root-key-disabled", "root-key-disabled", ["disabled"]) == (
        code(lambda: keys.wrap(NAME, SECRET, CONTEXT)),
        code(lambda: keys.unwrap(NAME, secret, CONTEXT)),
        [one.state for one in keys.versions(NAME)],
    )
    server.ask("POST", f"{place}/soft-delete-restore")
    assert SECRET == keys.unwrap(NAME, secret, CONTEXT)


def test_a_version_below_the_minimum_is_disabled_and_not_destroyed(
    server: BaoServer, prefix: str
) -> None:
    """Only what is trimmed is told as gone: a minimum can be lowered again."""
    operator, keys = server.operator(prefix), server.keys(prefix)
    operator.make(NAME)
    secret = keys.wrap(NAME, SECRET, CONTEXT)
    operator.rotate(NAME)
    config = f"transit/keys/{transit_name(prefix, NAME)}/config"
    server.ask("POST", config, {"min_decryption_version": 2})
    assert ("root-key-disabled", ["disabled", "enabled"]) == (
        code(lambda: keys.unwrap(NAME, secret, CONTEXT)),
        [one.state for one in keys.versions(NAME)],
    )
    server.ask("POST", config, {"min_decryption_version": 1})
    assert SECRET == keys.unwrap(NAME, secret, CONTEXT)


@pytest.mark.parametrize("changes", [{"mount": "elsewhere"}, {"namespace": "nobody"}])
def test_a_wrong_place_never_passes_for_a_destroyed_key(
    server: BaoServer, prefix: str, changes: dict[str, str]
) -> None:
    """A mount or namespace that is not there is refused, also to a token that may all."""
    settings = server.settings(prefix, **changes)
    operator = OpenBaoOperator(settings, lambda: server.root, SystemClock())
    keys = OpenBaoKeys(settings, lambda: server.root, SystemClock())
    assert ["key-manager-refused"] * 2 == [
        code(lambda: operator.destroy(NAME)),
        code(lambda: keys.versions(NAME)),
    ]


def test_a_version_that_is_not_there_yet_destroys_nothing(server: BaoServer, prefix: str) -> None:
    """The newest version is never trimmed away: that is what destroying the key is for."""
    operator = server.operator(prefix)
    operator.make(NAME)
    assert "root-key-missing" == code(lambda: operator.destroy(NAME, below=2))
    assert [1] == [one.version for one in server.keys(prefix).versions(NAME)]


# --- what destruction leaves -------------------------------------------------------------


def opens(server: BaoServer, prefix: str, secret: Secret) -> list[str]:
    """Return what becomes of a ciphertext: by the service, and by root with all its might."""
    name = transit_name(prefix, NAME)
    body = {
        "ciphertext": secret.blob.decode(),
        "context": base64.b64encode(CONTEXT.encode()).decode(),
    }
    server.ask_as(server.root, "POST", f"transit/keys/{name}/config", {"min_decryption_version": 1})
    status, _ = server.ask_as(server.root, "POST", f"transit/decrypt/{name}", body)
    try:
        server.keys(prefix).unwrap(NAME, secret, CONTEXT)
    except (Missing, Tampered) as error:
        return [error.code, str(status)]
    return ["opened", str(status)]


def test_what_is_trimmed_opens_nowhere_also_after_a_restart(own: BaoServer, prefix: str) -> None:
    """A ciphertext that was kept from before is refused to root too, and by the storage alone."""
    operator, keys = own.operator(prefix), own.keys(prefix)
    operator.make(NAME)
    old = keys.wrap(NAME, SECRET, CONTEXT)
    operator.rotate(NAME)
    new = keys.wrap(NAME, SECRET, CONTEXT)
    assert ["opened", "200"] == opens(own, prefix, old)

    assert "transit trim" == operator.destroy(NAME, below=2).method

    assert ["root-key-missing", "400"] == opens(own, prefix, old)
    own.restart()
    assert ["root-key-missing", "400"] == opens(own, prefix, old)
    assert ["opened", "200"] == opens(own, prefix, new)


def test_what_is_deleted_opens_nowhere_also_after_a_restart(own: BaoServer, prefix: str) -> None:
    """Nor does it open under a new key of the same name."""
    operator, keys = own.operator(prefix), own.keys(prefix)
    operator.make(NAME)
    old = keys.wrap(NAME, SECRET, CONTEXT)

    assert "transit delete" == operator.destroy(NAME).method

    assert ["root-key-missing", "400"] == opens(own, prefix, old)
    own.restart()
    assert ["root-key-missing", "400"] == opens(own, prefix, old)
    operator.make(NAME)
    assert ["wrapped-key-tampered", "400"] == opens(own, prefix, old)


# --- a server that does not answer ---------------------------------------------------------


def test_a_sealed_server_is_unavailable_until_it_is_unsealed(own: BaoServer, prefix: str) -> None:
    """Nothing is wrapped or unwrapped meanwhile, and it is as before afterwards."""
    own.operator(prefix).make(NAME)
    keys = own.keys(prefix)
    secret = keys.wrap(NAME, SECRET, CONTEXT)
    own.seal()
    assert ["key-manager-unavailable"] * 2 == [
        code(lambda: keys.wrap(NAME, SECRET, CONTEXT)),
        code(lambda: keys.unwrap(NAME, secret, CONTEXT)),
    ]
    own.unseal()
    assert SECRET == keys.unwrap(NAME, secret, CONTEXT)


async def test_the_breaker_opens_on_a_stopped_server_and_heals(own: BaoServer, prefix: str) -> None:
    """It refuses without asking while it rests, and one trial after the server is back heals it."""
    own.operator(prefix).make(NAME)
    clock, provider = FakeClock(), own.keys(prefix)
    manager = GuardedKeyManager(provider, clock, limit_seconds=30, breaker=Breaker(limit=3))
    secret = await manager.wrap(NAME, SECRET, CONTEXT)
    await asyncio.to_thread(own.stop)
    for _ in range(6):
        with pytest.raises(Unavailable):
            await manager.unwrap(NAME, secret, CONTEXT)
    assert 4 == manager.calls

    await asyncio.to_thread(own.restart)
    with pytest.raises(Unavailable):
        await manager.unwrap(NAME, secret, CONTEXT)
    clock.advance(Breaker().rest)
    assert SECRET == await manager.unwrap(NAME, secret, CONTEXT)


async def test_a_server_that_accepts_and_does_not_answer_is_given_up(
    own: BaoServer, prefix: str
) -> None:
    """Who waits is let go by the guard, and the provider's own limit frees its thread."""
    own.operator(prefix).make(NAME)
    provider = own.keys(prefix)
    manager = GuardedKeyManager(provider, FakeClock(), limit_seconds=0.3)
    secret = provider.wrap(NAME, SECRET, CONTEXT)
    with own.paused():
        for _ in range(3):
            with pytest.raises(Unavailable):
                await manager.unwrap(NAME, secret, CONTEXT)
        alone = await asyncio.to_thread(code, lambda: provider.unwrap(NAME, secret, CONTEXT))
        assert "key-manager-unavailable" == alone
    assert SECRET == provider.unwrap(NAME, secret, CONTEXT)


# --- where it connects to -------------------------------------------------------------------


def test_a_certificate_of_another_authority_is_not_trusted(
    server: BaoServer, own: BaoServer, prefix: str
) -> None:
    """Nothing is sent to a server that the configured authority does not vouch for."""
    for authority in (str(own.authority), ""):
        settings = server.settings(prefix, authority=authority)
        keys = OpenBaoKeys(settings, lambda: "token", SystemClock())
        assert "key-manager-unavailable" == code(lambda: keys.versions(NAME))  # noqa: B023  called here


def test_an_authority_that_is_not_there_is_a_wrong_setting(
    server: BaoServer, tmp_path: Path
) -> None:
    """A file that is missing never means that any authority will do."""
    settings = server.settings("p", authority=str(tmp_path / "gone.pem"))
    with pytest.raises(Invalid) as caught:
        OpenBaoKeys(settings, lambda: "token", SystemClock())
    assert "wrong-setting" == caught.value.code


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bao.example.org",
        "http://bao.example.org:8200",
        "http://127.0.0.1.example.org",
        "http://localhost@example.org",
        "https://user:secret@example.org",
        "https://example.org/path",
        "https://example.org?x=1",
        "https://example.org#x",
        "https://example.org:99999",
        "https://",
        "https://[::1",
        "ftp://127.0.0.1",
        "https://example.org\n",
    ],
)
def test_a_url_without_tls_or_with_more_than_a_host_is_refused(url: str) -> None:
    """Http is for this very machine, and nothing else belongs into the URL."""
    with pytest.raises(Invalid) as caught:
        OpenBaoSettings(url)
    assert "wrong-setting" == caught.value.code


@pytest.mark.parametrize(
    "changes",
    [
        {"prefix": ""},
        {"prefix": "a-b"},
        {"prefix": "A"},
        {"prefix": "*"},
        {"mount": ""},
        {"mount": "a/../b"},
        {"mount": "/a"},
        {"mount": "+"},
        {"namespace": "a//b"},
        {"namespace": "a\n"},
    ],
)
def test_a_setting_that_could_mean_another_place_is_refused(changes: dict[str, str]) -> None:
    """A prefix has no hyphen, which would make it begin another's; no path leads upwards."""
    with pytest.raises(Invalid) as caught:
        OpenBaoSettings("https://bao.example.org:8200", **changes)
    assert "wrong-setting" == caught.value.code


def test_no_variable_of_the_environment_is_obeyed(
    server: BaoServer, prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither a proxy nor another address, token, namespace or authority of the library's."""
    server.operator(prefix).make(NAME)
    keys = server.keys(prefix)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "VAULT_ADDR", "BAO_ADDR"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "VAULT_CACERT"):
        monkeypatch.setenv(name, str(tmp_path / "gone"))
    monkeypatch.setenv("VAULT_TOKEN", "another")
    monkeypatch.setenv("VAULT_NAMESPACE", "another")
    assert [1] == [one.version for one in keys.versions(NAME)]


# --- names -------------------------------------------------------------------------------------

NAMES: Final = st.just(ROOT_NAME) | st.from_regex(NAME_PATTERN, fullmatch=True).map(tenant_root)
PREFIXES: Final = st.from_regex("[a-z0-9]{1,32}", fullmatch=True)


@given(PREFIXES, NAMES, PREFIXES, NAMES)
def test_no_two_root_keys_share_a_transit_key(
    prefix: str, name: str, other_prefix: str, other_name: str
) -> None:
    """Another prefix or another name is another key."""
    is_same = (prefix, name) == (other_prefix, other_name)
    assert is_same == (transit_name(prefix, name) == transit_name(other_prefix, other_name))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Root",
        "root/x",
        "tenant",
        "tenant/",
        "tenant/..",
        "tenant/a/b",
        "tenant/A",
        "tenant/a\n",
    ],
)
def test_what_is_no_root_keys_name_is_a_bug(name: str) -> None:
    """No name leads to another path of the server."""
    with pytest.raises(RuntimeError):
        transit_name("p", name)


def test_only_a_key_with_a_context_is_wrapped(server: BaoServer, prefix: str) -> None:
    """Another length, or nothing that it is for, is a programmer's mistake."""
    server.operator(prefix).make(NAME)
    keys = server.keys(prefix)
    for secret, context in ((b"", CONTEXT), (SECRET[:31], CONTEXT), (SECRET, "")):
        with pytest.raises(RuntimeError):
            keys.wrap(NAME, secret, context)
