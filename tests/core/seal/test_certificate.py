"""The certificate of destruction: signed, read strictly, shown as a page without a script."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.core.errors import Tampered
from seawall.core.ledger.checkpoint import Checkpoint, format_vkey, open_checkpoint, sign_checkpoint
from seawall.core.ledger.tree import EMPTY_ROOT
from seawall.core.seal.certificate import (
    FORM,
    UNDER,
    Beyond,
    open_by_one,
    open_certificate,
    read_file,
    sign_certificate,
    write_file,
)
from seawall.core.seal.certificate_page import page_of

KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER: Final = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC: Final = KEY.public_key().public_bytes_raw()
NAME: Final = "seawall.example/log/00"
VKEY: Final = format_vkey(NAME, PUBLIC)
BODY: Final[dict[str, Any]] = {
    "what": "patients",
    "tenant": "clinic",
    "patients": ["a" * 24],
    "reason": "relationship-ended",
    "ordered": {"by": {"kind": "operator", "name": "olga"}, "at": "2026-03-02", "entry": 7},
    "finished": {"by": {"kind": "operator", "name": "oscar"}, "at": "2026-03-03"},
    "deleted": {"data_keys": 2, "sealed": 3, "terms": 4},
    "keys": {
        "provider": "openbao",
        "root": "tenant/clinic",
        "versions": [1, 2],
        "method": "transit trim",
        "final_at": "2026-03-03",
    },
    "copies": 1,
    "no_process_after": "2026-03-03",
    "logs": {"tenant": {"checkpoint": "c", "size": 9}, "system": {"checkpoint": "d", "size": 2}},
    "beyond": [Beyond("requests of several patients", 5).fields(), Beyond("memory").fields()],
    "under": list(UNDER),
}
NOTE: Final = sign_certificate(BODY, NAME, KEY.sign, PUBLIC)


def test_a_certificate_from_before_a_restoring_opens_by_the_older_name() -> None:
    """Whichever of the system's logs signed it, and no other."""
    later = format_vkey("seawall.example/log/01", PUBLIC)
    foreign = format_vkey(NAME, OTHER.public_key().public_bytes_raw())
    assert BODY == open_by_one(NOTE, [VKEY, later]) == open_by_one(NOTE, [later, VKEY])
    with pytest.raises(Tampered):
        open_by_one(NOTE, [later, foreign])


def test_a_certificate_reads_as_it_was_signed() -> None:
    """The note and the file hold the same, and the same is signed twice."""
    assert (
        BODY == open_certificate(NOTE, VKEY) == open_certificate(read_file(write_file(NOTE)), VKEY)
    )
    assert NOTE == sign_certificate(BODY, NAME, KEY.sign, PUBLIC)


def test_another_key_is_not_trusted() -> None:
    """Nor the right key under another name."""
    other = OTHER.public_key().public_bytes_raw()
    for vkey in (format_vkey(NAME, other), format_vkey("seawall.example/log/01", PUBLIC)):
        with pytest.raises(Tampered) as caught:
            open_certificate(NOTE, vkey)
        assert "certificate-untrusted" == caught.value.code


@given(st.integers(0, len(NOTE.encode()) - 1), st.integers(1, 255))
@settings(max_examples=300)
def test_a_changed_byte_of_the_note_is_noticed(at: int, flip: int) -> None:
    """Whichever byte, however changed."""
    raw = bytearray(NOTE.encode())
    raw[at] ^= flip
    with pytest.raises(Tampered):
        open_certificate(raw.decode("utf-8", "replace"), VKEY)


@pytest.mark.parametrize("field", sorted(BODY))
def test_a_field_that_is_missing_is_noticed(field: str) -> None:
    """Although it is signed: a certificate says all that it must."""
    less = {name: value for name, value in BODY.items() if name != field}
    with pytest.raises(Tampered):
        open_certificate(sign_certificate(less, NAME, KEY.sign, PUBLIC), VKEY)


def test_a_changed_value_of_the_file_is_noticed() -> None:
    """What people read is what is signed."""
    document = json.loads(write_file(NOTE))
    document["certificate"]["deleted"]["data_keys"] = 200
    with pytest.raises(Tampered):
        open_certificate(read_file(json.dumps(document).encode()), VKEY)


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b"null", b'{"form": 1, "certificate": {}, "signatures": []}', b"\xff"],
)
def test_a_file_of_another_form_is_refused(raw: bytes) -> None:
    """By one error, whatever it is."""
    with pytest.raises(Tampered) as caught:
        read_file(raw)
    assert "certificate-untrusted" == caught.value.code


def test_a_certificate_is_no_checkpoint_and_a_checkpoint_no_certificate() -> None:
    """One key signs both: neither can be taken for the other."""
    checkpoint = sign_checkpoint(Checkpoint(NAME, 0, EMPTY_ROOT), NAME, KEY.sign, PUBLIC)
    with pytest.raises(Tampered):
        open_certificate(checkpoint, VKEY)
    with pytest.raises(Tampered):
        open_checkpoint(NOTE, VKEY)
    assert NOTE.startswith(f"{FORM}\n")


class Tags(HTMLParser):
    """Collects the tags and texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002  html.parser's
        """Keep the tag."""
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.texts.append(data)


def test_the_page_says_what_the_certificate_says() -> None:
    """For people: what, which keys, who, what it does not reach, under which rules."""
    page = Tags()
    page.feed(page_of(BODY, NOTE))
    text = " ".join(page.texts)
    for said in (
        "a" * 24,
        "transit trim",
        "olga",
        "oscar",
        "several patients: 5",
        "164.310(d)(2)(i)",
    ):
        assert said in text


def test_the_page_runs_nothing_and_asks_for_nothing() -> None:
    """No script, no image, no link; what is in a value stays text."""
    hostile = {**BODY, "reason": "<script>alert(1)</script>", "tenant": '"><img src=x>'}
    page = Tags()
    page.feed(page_of(hostile, "<script>"))
    assert set() == set(page.tags) & {"script", "img", "link", "iframe", "a", "form"}
    assert "<script>alert(1)</script>" in page.texts
