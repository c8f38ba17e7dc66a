"""Which modules are found, whom an installation uses, and what this process's own say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from seawall.adapters.fips import ThisProcess, crypto_modules
from seawall.core.errors import Refused
from seawall.core.fips import Behaviour, require_fips

FIPS: Final = Behaviour(says_fips=True, encrypts=True, allows_md5=False)
PLAIN: Final = Behaviour(says_fips=False, encrypts=True, allows_md5=True)
BROKEN: Final = Behaviour(says_fips=True, encrypts=False, allows_md5=False)
"""As the wheel of `cryptography` is, whose OpenSSL loads no provider."""
APART: Final = {"has_own_database": True, "has_passphrase": False, "has_time_stamps": False}
"""The folder's own database, its key ring opened by a key manager or a mounted secret."""


@dataclass(frozen=True)
class Reported:
    """Libraries that say what they are told to say."""

    one: Behaviour = FIPS
    two: Behaviour = FIPS
    three: Behaviour = FIPS
    shared: tuple[tuple[str, bool], ...] = (("libcrypto.so.3", True),)
    packages: tuple[str, ...] = ("psycopg", "pyarrow", "rfc3161-client", "argon2-cffi")

    def cryptography(self) -> tuple[str, Behaviour]:
        """Say."""
        return "50 with OpenSSL 3.5", self.one

    def python(self) -> tuple[str, Behaviour]:
        """Say."""
        return "OpenSSL 3.5", self.two

    def sqlcipher(self) -> tuple[str, Behaviour]:
        """Say."""
        return "4.19 with openssl", self.three

    def loaded(self) -> list[tuple[str, bool]]:
        """Say."""
        return list(self.shared)

    def installed(self, package: str) -> str:
        """Say."""
        return "1.0" if package in self.packages else ""


def lacking(libraries: Reported, **more: Any) -> str:
    """Return what is refused where FIPS mode is required; empty if nothing is."""
    try:
        require_fips(crypto_modules(libraries, **{**APART, **more}))
    except Refused as refused:
        return refused.message.rpartition(": ")[2]
    return ""


def test_modules_in_fips_mode_are_enough() -> None:
    """With all three in FIPS mode, and no passphrase, nothing is refused."""
    assert "" == lacking(Reported())


@pytest.mark.parametrize(
    ("field", "name"), [("one", "cryptography"), ("two", "Python"), ("three", "SQLCipher")]
)
@pytest.mark.parametrize("behaviour", [PLAIN, BROKEN])
def test_each_module_that_is_used_counts(field: str, name: str, behaviour: Any) -> None:
    """One that is not in FIPS mode, or only says so, is named."""
    changed: dict[str, Any] = {field: behaviour}

    assert name == lacking(replace(Reported(), **changed))


def test_a_passphrase_is_turned_into_a_key_by_what_is_not_approved() -> None:
    """Argon2id is no approved algorithm, so a passphrase is refused."""
    assert "Argon2id" == lacking(Reported(), has_passphrase=True)


def test_on_postgresql_sqlcipher_is_not_used() -> None:
    """Then the library that connects counts instead."""
    shared = {"has_own_database": False}

    assert "" == lacking(Reported(three=PLAIN), **shared)
    assert "libpq" == lacking(
        Reported(shared=(("libcrypto.so.3", True), ("libcrypto-1f.so", False))), **shared
    )
    assert "libpq" == lacking(Reported(shared=()), **shared)


@pytest.mark.parametrize(
    ("more", "name"),
    [({"seals_data_sets": True}, "pyarrow"), ({"has_time_stamps": True}, "rfc3161-client")],
)
def test_what_cannot_be_asked_is_refused_where_it_is_used(more: dict[str, bool], name: str) -> None:
    """A library with an OpenSSL of its own that tells nothing does not count as in FIPS mode."""
    assert name == lacking(Reported(), **more)


def test_what_is_not_installed_is_not_listed() -> None:
    """Optional libraries that are not there are no modules."""
    found = crypto_modules(Reported(packages=()), **APART)

    assert ["cryptography", "Python", "SQLCipher", "Argon2id"] == [one.name for one in found]


def test_this_process_can_be_asked() -> None:
    """Each library here says its version, and works."""
    here = ThisProcess()

    for said, behaviour in (here.cryptography(), here.python(), here.sqlcipher()):
        assert ("OpenSSL" in said, True) == (True, behaviour.encrypts)


def test_md5_is_seen_where_it_works() -> None:
    """Where this process is not in FIPS mode, its MD5 works, and the probe says so."""
    for _, behaviour in (ThisProcess().cryptography(), ThisProcess().python()):
        assert behaviour.says_fips is not behaviour.allows_md5


def test_shared_libraries_are_asked_by_their_own_function() -> None:
    """The libcrypto that Python uses is among those loaded, and says what Python says of it."""
    here = ThisProcess()

    assert {here.python()[1].says_fips} >= {is_fips for _, is_fips in here.loaded()[:1]}


def test_a_package_that_is_none_has_no_version() -> None:
    """The version of what is not installed is empty."""
    assert ("", True) == (
        ThisProcess().installed("no-such-package-at-all"),
        bool(ThisProcess().installed("cryptography")),
    )
