"""Accounts as they are sealed, tickets as browsers carry them, networks, passwords."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Error, Invalid, Refused, Tampered
from seawall.core.identity.account import (
    MOST_PASSKEYS,
    TRANSPORTS,
    Account,
    Link,
    Passkey,
    digest_of,
)
from seawall.core.identity.network import network_class, network_digest
from seawall.core.identity.password import COMMON, check_password
from seawall.core.identity.ticket import Ticket, read_ticket
from seawall.core.policy.factor import Factor

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBER = st.integers(0, 2**53 - 1)
PASSKEYS = st.builds(
    Passkey,
    id=TEXT,
    public_key=TEXT,
    count=NUMBER,
    transports=st.lists(st.sampled_from(TRANSPORTS)).map(tuple),
    name=TEXT,
    made_ms=NUMBER,
    may_be_synced=st.booleans(),
    is_synced=st.booleans(),
)
ACCOUNTS = st.builds(
    Account,
    password=TEXT,
    passkeys=st.lists(PASSKEYS, max_size=MOST_PASSKEYS).map(tuple),
    codes=st.none() | st.builds(Factor, TEXT, NUMBER),
    recovery=st.lists(TEXT, max_size=10).map(tuple),
    link=st.none() | st.builds(Link, TEXT, NUMBER, st.booleans()),
)
KEY, NONCE = bytes(32), bytes(12)
NOW = 1_000
T = TypeVar("T")


def ended(asked: Callable[[], T]) -> tuple[T | None, str]:
    """Return what a call gave, or the code of its error."""
    try:
        return asked(), ""
    except Error as error:
        return None, error.code


@given(ACCOUNTS)
def test_an_account_is_read_as_it_was_written(account: Account) -> None:
    """Nothing is lost on the way."""
    assert account == Account.from_json(account.to_json())


@given(ACCOUNTS, st.integers(0), st.binary(min_size=1, max_size=3))
def test_another_form_is_tampered(account: Account, at: int, other: bytes) -> None:
    """What is read is written alike, or refused: no second spelling of an account."""
    raw = account.to_json()
    at %= len(raw)
    changed = raw[:at] + other + raw[at + 1 :]

    found, code = ended(lambda: Account.from_json(changed))
    assert code == "account-malformed" or (found and changed == found.to_json())


@pytest.mark.parametrize(
    "changed",
    [
        {"more": 1},
        {"v": 2},
        {"password": 1},
        {"password": "x" * 513},
        {"passkeys": {}},
        {"passkeys": [{"id": "a"}]},
        {"recovery": ["a"] * 11},
        {"link": {"digest": "a", "until": -1, "keeps": False}},
        {"link": {"digest": "a", "until": 1, "keeps": 1}},
        {"codes": {"secret": "a", "used": True}},
        {"passkeys": [Passkey("a", "b", 0).fields()] * 11},
    ],
)
def test_a_field_of_another_kind_is_tampered(changed: dict[str, object]) -> None:
    """Missing, unknown, of another type, too many."""
    said = orjson.loads(Account("x").to_json()) | changed
    raw = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)

    with pytest.raises(Tampered):
        Account.from_json(raw)


@pytest.mark.parametrize(
    ("kept", "count", "is_cloned"),
    [(0, 0, False), (0, 1, False), (5, 6, False), (5, 5, True), (5, 4, True), (5, 0, True)],
)
def test_a_count_tells_a_copy(kept: int, count: int, *, is_cloned: bool) -> None:
    """WebAuthn, section 6.1.1: it grows, unless neither counts."""
    assert is_cloned == Passkey("a", "b", kept).is_cloned(count)


def test_a_recovery_code_leaves_the_others() -> None:
    """However it is typed."""
    account = Account(recovery=(digest_of("abcd2345"), digest_of("wxyz6767")))

    assert replace(account, recovery=account.recovery[1:]) == account.without_recovery(" ABCD-2345")
    assert account.without_recovery("abcd2346") is None


@given(st.dictionaries(TEXT, TEXT | st.integers(-9, 9), max_size=5), st.integers(NOW + 1, 2**50))
def test_a_ticket_is_read_as_it_was_sealed(about: dict[str, object], until_ms: int) -> None:
    """By the same key, of the same kind, in time."""
    text = Ticket("kind", until_ms, about).text(KEY, NONCE)

    read = read_ticket(text, "kind", KEY, NOW)
    assert ("kind", until_ms, about) == (read.kind, read.until_ms, read.about)


@given(st.integers(0), st.integers(1, 255))
def test_a_changed_ticket_is_refused(at: int, by: int) -> None:
    """Every character counts; where two spell the same bytes, they are one ticket."""
    made = Ticket("kind", NOW + 1, {"right": 0})
    text = made.text(KEY, NONCE)
    at %= len(text)
    changed = text[:at] + chr((ord(text[at]) + by) % 256) + text[at + 1 :]

    found, code = ended(lambda: read_ticket(changed, "kind", KEY, NOW))
    assert code == "ceremony-over" or found == read_ticket(text, "kind", KEY, NOW)


@pytest.mark.parametrize(
    ("kind", "key", "now_ms"),
    [("other", KEY, NOW), ("kind", bytes([1]) * 32, NOW), ("kind", KEY, NOW + 1)],
)
def test_a_ticket_counts_for_its_kind_key_and_time(kind: str, key: bytes, now_ms: int) -> None:
    """For nothing else."""
    text = Ticket("kind", NOW + 1, {}).text(KEY, NONCE)

    with pytest.raises(Refused):
        read_ticket(text, kind, key, now_ms)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.0.0/16"),
        ("::ffff:10.1.2.3", "10.1.0.0/16"),
        ("2001:db8:1::1", "2001:db8::/32"),
        ("fe80::1%eth0", "fe80::/32"),
        ("localhost", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_network_of_an_address(address: str, network: str) -> None:
    """IPv4 by /16, IPv6 by /32, whatever its form."""
    assert network == network_class(address)


def test_a_networks_digest_is_the_installations_own() -> None:
    """Alike within a network, unlike by another key."""
    one, other = network_digest(KEY, "10.1.2.3"), network_digest(KEY, "10.1.9.9")

    assert one == other
    assert network_digest(b"x" * 32, "10.1.2.3") != one


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("eleven char", "password-length"),
        ("x" * 129, "password-length"),
        ("aaaaaaaaaaaa", "password-common"),
        ("123456789012", "password-common"),
        ("P@ssw0rd1234", "password-common"),
        ("Qwertyuiop12", "password-common"),
        ("welcome-welcome", "password-common"),
        ("hospital2026!", "password-common"),
        ("Summer2026!!", "password-common"),
        ("okri and the sea", "password-named"),
        ("this is ben.okri", "password-named"),
        ("four horses under one bridge", ""),
        ("пароль из двух слов", ""),
        ("\U0001f40e" * 3 + " over there", ""),
    ],
)
def test_which_passwords_are_taken(password: str, code: str) -> None:
    """Length, common ones and names; no rule about kinds of characters."""
    assert code == ended(lambda: check_password(password, user="ben.okri", title="Dr Ben Okri"))[1]


@given(st.sampled_from(sorted(COMMON)), st.from_regex(r"[0-9!?. ]{0,20}", fullmatch=True))
def test_a_common_password_stays_common_with_digits(word: str, more: str) -> None:
    """Digits and signs after it are what everybody tries."""
    with pytest.raises(Invalid):
        check_password(word + more, user="ada", title="Ada")


@given(TEXT)
def test_a_refused_password_is_in_no_error(password: str) -> None:
    """What somebody typed is told to nobody."""
    try:
        check_password(password, user="ada", title="Ada")
    except Error as error:
        words = f"{error.code} {error.message} {error.help}"
        assert len(password) < 8 or password not in words


@pytest.mark.parametrize(
    ("password", "is_taken"),
    [
        ("846 205 917 364", True),
        ("\U0001f40e\U0001f309\U0001f40c\U0001f333 846205917", True),
        ("846205917364x", True),
        ("123456789012", False),
        ("9876 5432 1098", False),
        ("1122 3344 5566", False),
        ("846205 846205", False),
        ("159753456852", False),
        ("-+-+-+-+-+-+-+", False),
        ("x 123456789012 x", False),
        ("aaaa1234aaaa", False),
    ],
)
def test_digits_that_follow_no_rule_are_a_password(password: str, *, is_taken: bool) -> None:
    """No kind of character is asked for; rows and repetitions are what is tried first."""
    code = "" if is_taken else "password-common"
    assert code == ended(lambda: check_password(password, user="ann", title="Ann"))[1]


def test_the_most_used_passwords_are_known() -> None:
    """Three thousand and more, as they are compared (ASVS 5.0, 6.2.4)."""
    assert 3_000 <= len(COMMON)
    assert {"iloveyou", "dragon", "qwertyuiop", "trustno", "healthcare"} <= COMMON
    assert all(word == word.casefold() and 3 <= len(word) for word in COMMON)
