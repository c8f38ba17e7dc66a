"""Settings about certificates: which go together, and whom the command line trusts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seawall.config import Settings, read_certificate_password, read_settings
from seawall.core.errors import Invalid, Missing


@pytest.mark.parametrize(
    "given",
    [
        {"certificate": "a.pem"},
        {"certificate_key": "a.key"},
        {"certificate_authority": "ca.pem"},
        {"client_authority": "ca.pem"},
        {"client_certificates": "required"},
        {"client_authority": "ca.pem", "client_certificates": "sometimes"},
    ],
    ids=str,
)
def test_half_of_what_goes_together_refuses_to_start(given: dict[str, str], tmp_path: Path) -> None:
    """A certificate without its key, client certificates that nobody would verify: neither."""
    with pytest.raises(Invalid) as caught:
        read_settings(tmp_path, {f"SEAWALL_{name.upper()}": text for name, text in given.items()})

    assert "wrong-setting" == caught.value.code


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [
        ("gateway.clinic.example", True),
        ("gateway", True),
        ("192.0.2.7", True),
        ("192.0.2.777", False),
        ("192.0.2.07", False),
        ("7", False),
        ("a..b", False),
        ("-a.example", False),
        ("a.example.", False),
        ("2001:db8::7", False),
        ("a" * 64, False),
        (".".join(["a" * 60] * 5), False),
        ("a.example\n", False),
    ],
)
def test_a_name_is_a_host_name_or_an_address(name: str, tmp_path: Path, *, is_taken: bool) -> None:
    """What could be in no certificate is refused before one is made for it."""
    found = ""
    try:
        Settings(tmp_path, name=name)
    except Invalid as error:
        found = error.code

    assert ("" if is_taken else "wrong-setting") == found


def test_the_command_line_trusts_whoever_signed_the_servers_certificate(tmp_path: Path) -> None:
    """The private authority; for an own certificate the one that is named, else the system's."""
    own: dict[str, Any] = {"certificate": "a.pem", "certificate_key": "a.key"}
    settings = [
        Settings(tmp_path),
        Settings(tmp_path, **own),
        Settings(tmp_path, **own, certificate_authority="ca.pem"),
    ]

    expected = [tmp_path / "tls" / "authority.pem", None, Path("ca.pem")]
    assert expected == [each.authority for each in settings]


def test_the_keys_password_is_read_from_its_file_anew(tmp_path: Path) -> None:
    """The file wins over the variable, is read at each call, and must be readable."""
    file = tmp_path / "password"
    given = {
        "SEAWALL_CERTIFICATE_PASSWORD_FILE": str(file),
        "SEAWALL_CERTIFICATE_PASSWORD": "other",
    }
    read = []
    for text in ("one\n", "two"):
        file.write_text(text, "ascii")
        read.append(read_certificate_password(given))
    file.unlink()
    with pytest.raises(Missing):
        read_certificate_password(given)

    assert ["one", "two", ""] == [*read, read_certificate_password({})]
