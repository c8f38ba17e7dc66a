"""The second law: a grant takes a ledger entry. Each test tries to open without one."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Refused
from seawall.core.ledger.encoding import encode
from seawall.core.policy.grant import Grant, Receipt, check, receipt_mac, terms
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = bytes(range(32))
ORIGIN = "log.example/log/7f3a"
UNTIL = 1_800_000_000_000
CONTEXT = Context("clinic", "patient.identifiers", "p-71", "x-9")
TERMS = terms(kinds=("patient.identifiers",), subjects=("p-71",), until_ms=UNTIL)
ENTRY: dict[str, Any] = {"act": "phi.open", "tenant": "clinic", "grant": TERMS}


def receipt(entry: dict[str, Any] = ENTRY, index: int = 4, key: bytes = KEY) -> Receipt:
    """Return the receipt that a ledger with `key` gives for an entry."""
    raw = encode(entry)
    return Receipt(ORIGIN, index, raw, receipt_mac(key, ORIGIN, index, raw))


def verdict(
    held: Receipt, context: Context = CONTEXT, *, tenant: str = "clinic", now_ms: int = UNTIL - 1
) -> str:
    """Return what the check says of a grant: its refusal's code, or that it opens."""
    try:
        check(Grant(held), context, receipt_key=KEY, tenant=tenant, now_ms=now_ms)
    except Refused as refused:
        return refused.code
    return "opens"


def granting(**fields: Any) -> dict[str, Any]:
    """Return the entry with other terms."""
    return {**ENTRY, "grant": {**TERMS, **fields}}


def without(field: str) -> dict[str, Any]:
    """Return the entry with terms that lack a field."""
    return {**ENTRY, "grant": {name: value for name, value in TERMS.items() if name != field}}


def test_recorded_grant_opens_what_it_names() -> None:
    """A grant whose entry names tenant, kind and subject opens it before its end."""
    assert verdict(receipt()) == "opens"


@pytest.mark.parametrize("instead", [None, True, TERMS, encode(ENTRY), object()])
def test_grant_is_made_from_nothing_else(instead: Any) -> None:
    """Neither terms, nor an entry's bytes, nor anything else but a receipt makes a grant."""
    with pytest.raises(TypeError):
        Grant(instead)


def test_grant_is_not_made_from_something_like_a_receipt() -> None:
    """A receipt of another make, which could tell other terms than it was sealed with, is none."""

    class Generous(Receipt):
        def body(self) -> dict[str, Any]:
            return granting(subjects=["everybody"])

    with pytest.raises(TypeError):
        Grant(Generous(**{f.name: getattr(receipt(), f.name) for f in dataclasses.fields(Receipt)}))


def test_receipt_is_not_changed_in_place() -> None:
    """A receipt's parts cannot be set."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        receipt().entry = b"{}"  # type: ignore[misc]


@given(st.integers(0, 255))
def test_every_flipped_bit_of_the_mac_is_forged(bit: int) -> None:
    """A MAC that differs in one bit is refused as forged."""
    held = receipt()
    mac = bytearray(held.mac)
    mac[bit // 8] ^= 1 << bit % 8

    assert verdict(dataclasses.replace(held, mac=bytes(mac))) == "grant-forged"


@given(st.data())
def test_every_flipped_bit_of_the_entry_is_forged(data: st.DataObject) -> None:
    """An entry that differs in one bit from the recorded one is refused as forged."""
    held = receipt()
    entry = bytearray(held.entry)
    bit = data.draw(st.integers(0, len(entry) * 8 - 1))
    entry[bit // 8] ^= 1 << bit % 8

    assert verdict(dataclasses.replace(held, entry=bytes(entry))) == "grant-forged"


@pytest.mark.parametrize(
    "changes",
    [
        {"mac": b""},
        {"mac": bytes(32)},
        {"index": 5},
        {"origin": "log.example/log/other"},
        {"entry": encode(granting(subjects=["p-71", "p-72"]))},
        {"entry": encode(granting(until=UNTIL * 2))},
        {"entry": b""},
    ],
)
def test_altered_receipt_is_forged(changes: dict[str, Any]) -> None:
    """A receipt whose place, entry or MAC is not the ledger's own is refused as forged."""
    assert verdict(dataclasses.replace(receipt(), **changes)) == "grant-forged"


def test_receipt_of_another_ledger_is_forged() -> None:
    """A MAC under another key is refused as forged, whatever the entry says."""
    assert verdict(receipt(key=bytes(32))) == "grant-forged"


@pytest.mark.parametrize(
    ("entry", "context", "tenant", "expected"),
    [
        pytest.param(ENTRY, CONTEXT, "other", "grant-foreign", id="asked by another tenant"),
        pytest.param(
            {**ENTRY, "tenant": "other"}, CONTEXT, "clinic", "grant-foreign", id="another's entry"
        ),
        pytest.param(
            {"grant": TERMS}, CONTEXT, "clinic", "grant-foreign", id="an entry of no tenant"
        ),
        pytest.param(
            {"tenant": "clinic"}, CONTEXT, "clinic", "grant-foreign", id="an entry without a grant"
        ),
        pytest.param(
            {**ENTRY, "grant": {}}, CONTEXT, "clinic", "grant-foreign", id="an empty grant"
        ),
        pytest.param(
            ENTRY,
            dataclasses.replace(CONTEXT, tenant="other"),
            "clinic",
            "grant-foreign",
            id="a value of another tenant",
        ),
        pytest.param(
            ENTRY,
            dataclasses.replace(CONTEXT, kind="exchange.request"),
            "clinic",
            "grant-exceeded",
            id="another kind",
        ),
        pytest.param(
            ENTRY,
            dataclasses.replace(CONTEXT, subject="p-72"),
            "clinic",
            "grant-exceeded",
            id="another subject",
        ),
        pytest.param(granting(kinds=[]), CONTEXT, "clinic", "grant-exceeded", id="no kinds"),
        pytest.param(granting(subjects=[]), CONTEXT, "clinic", "grant-exceeded", id="no subjects"),
        pytest.param(without("kinds"), CONTEXT, "clinic", "grant-exceeded", id="kinds unsaid"),
        pytest.param(
            without("subjects"), CONTEXT, "clinic", "grant-exceeded", id="subjects unsaid"
        ),
        pytest.param(without("until"), CONTEXT, "clinic", "grant-expired", id="end unsaid"),
        pytest.param(granting(until=0), CONTEXT, "clinic", "grant-expired", id="ended long ago"),
    ],
)
def test_genuine_entry_grants_no_more_than_it_says(
    entry: dict[str, Any], context: Context, tenant: str, expected: str
) -> None:
    """A genuine receipt opens nothing of another tenant, kind or subject, and empty means no."""
    assert expected == verdict(receipt(entry), context, tenant=tenant)


@pytest.mark.parametrize(
    ("now_ms", "expected"),
    [(UNTIL - 1, "opens"), (UNTIL, "grant-expired"), (UNTIL + 1, "grant-expired")],
)
def test_grant_ends_at_its_time(now_ms: int, expected: str) -> None:
    """A grant opens up to, and not at, the millisecond at which it ends."""
    assert expected == verdict(receipt(), now_ms=now_ms)


def test_refusal_names_neither_subject_nor_item() -> None:
    """What a refused grant says does not tell whose PHI was asked for."""
    with pytest.raises(Refused) as caught:
        check(
            Grant(receipt()),
            Context("clinic", "exchange.request", "subject-marker", "item-marker"),
            receipt_key=KEY,
            tenant="clinic",
            now_ms=0,
        )

    assert "marker" not in repr(caught.value.args)
    assert caught.value.help


def test_terms_as_recorded() -> None:
    """The terms are recorded in one order, whatever the order of asking."""
    assert terms(kinds=("b", "a"), subjects=("p-2", "p-1"), until_ms=9) == {
        "kinds": ["a", "b"],
        "subjects": ["p-1", "p-2"],
        "until": 9,
    }


def test_body_of_receipt_is_the_entry() -> None:
    """A receipt gives back the entry that was recorded."""
    assert ENTRY == receipt().body()


PLACES = st.tuples(st.sampled_from(["a", "b", "a/1"]), st.integers(0, 20), st.binary(max_size=6))


@given(PLACES, PLACES)
def test_one_mac_is_for_one_place(
    one: tuple[str, int, bytes], other: tuple[str, int, bytes]
) -> None:
    """Two receipts have the same MAC only if log, index and entry are the same."""
    assert (one == other) == (receipt_mac(KEY, *one) == receipt_mac(KEY, *other))


def test_printed_grant_shows_its_entry_alone() -> None:
    """Printed, a grant shows the index of its entry and neither terms nor MAC."""
    assert f"{Grant(receipt())}" == "<Grant of entry 4>"


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_grant_does_not_leave_its_unit_of_work(way: Callable[[Any], Any]) -> None:
    """A grant is neither pickled nor copied."""
    with pytest.raises(TypeError, match="not pickled"):
        way(Grant(receipt()))


def test_grant_does_not_become_json() -> None:
    """A grant does not become JSON."""
    with pytest.raises(TypeError):
        json.dumps(Grant(receipt()))
