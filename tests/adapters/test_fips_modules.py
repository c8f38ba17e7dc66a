"""Which modules are found, whom an installation uses, and what this process's own say."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import pytest

from seawall.adapters.fips import ThisProcess, crypto_modules
from seawall.core.errors import Refused
from seawall.core.fips import Behaviour, mode_of, require_fips

if TYPE_CHECKING:
    from pathlib import Path

FIPS: Final = Behaviour(says_fips=True, encrypts=True, allows_md5=False)
PLAIN: Final = Behaviour(says_fips=False, encrypts=True, allows_md5=True)
BROKEN: Final = Behaviour(says_fips=True, encrypts=False, allows_md5=False)
"""As the wheel of `cryptography` is, whose OpenSSL loads no provider."""
NO_PROVIDER: Final = """
openssl_conf = openssl_init
[openssl_init]
alg_section = algorithm_sect
[algorithm_sect]
default_properties = fips=yes
"""
"""A configuration of OpenSSL that asks for FIPS mode, and loads no provider that has it."""
APART: Final = {"has_own_database": True, "has_passphrase": False, "has_time_stamps": False}
"""The folder's own database, its key ring opened by a key manager or a mounted secret."""


@dataclass(frozen=True)
class Reported:
    """Libraries that say what they are told to say."""

    one: Behaviour = FIPS
    two: Behaviour = FIPS
    three: Behaviour = FIPS
    shared: tuple[tuple[str, Behaviour], ...] = (("libcrypto.so.3", FIPS),)
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

    def loaded(self) -> list[tuple[str, Behaviour]]:
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
    assert "libpq" == lacking(Reported(shared=()), **shared)


@pytest.mark.parametrize("behaviour", [PLAIN, BROKEN, replace(FIPS, allows_md5=True)])
def test_one_shared_library_that_is_not_in_fips_mode_is_enough(behaviour: Behaviour) -> None:
    """What libpq uses of several is not seen, and its word alone is not enough either."""
    mixed = Reported(shared=(("libcrypto.so.3", FIPS), ("libcrypto-1f.so", behaviour)))

    assert "libpq" == lacking(mixed, has_own_database=False)


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
    """Each library here says its own version, and works."""
    here = ThisProcess()
    said = {
        "cryptography": here.cryptography(),
        "python": here.python(),
        "sqlcipher": here.sqlcipher(),
    }

    assert [True] * 3 == [behaviour.encrypts for _, behaviour in said.values()]
    assert said["cryptography"][0].startswith(f"{version('cryptography')} with OpenSSL ")
    assert ssl.OPENSSL_VERSION == said["python"][0]
    assert re.match(r"4\.\d+\.\d+ \w+ with openssl: OpenSSL \d", said["sqlcipher"][0])


def test_a_shared_library_is_asked_and_tried() -> None:
    """The libcrypto that Python loads says what Python says of it, and offers what it offers."""
    here = ThisProcess()
    _, python = here.python()

    loaded = dict(here.loaded())

    assert python in loaded.values()
    assert all(name.startswith("libcrypto") for name in loaded)


PROBE: Final = """
import json, psycopg
from dataclasses import asdict
from seawall.adapters.fips import ThisProcess
here = ThisProcess()
asked = {"python": here.python(), "cryptography": here.cryptography()}
asked |= {"sqlcipher": here.sqlcipher()} | {name: (name, one) for name, one in here.loaded()}
print(json.dumps({name: asdict(behaviour) for name, (_, behaviour) in asked.items()}))
"""


def asked_with(configuration: str, folder: Path) -> dict[str, Behaviour]:
    """Ask the libraries of a process of its own, under a configuration of OpenSSL's."""
    (folder / "openssl.cnf").write_text(configuration, encoding="ascii")
    done = subprocess.run(  # noqa: S603  the program above
        [sys.executable, "-c", PROBE],
        env={**os.environ, "OPENSSL_CONF": str(folder / "openssl.cnf")},
        capture_output=True,
        check=True,
    )
    return {name: Behaviour(**said) for name, said in json.loads(done.stdout).items()}


def test_fips_mode_without_a_provider_is_found_out_in_every_library(tmp_path: Path) -> None:
    """Under a configuration that asks for it and has no provider, each says so and cannot encrypt.

    The library that connects to PostgreSQL is among them: its word alone does not count.
    """
    asked = asked_with(NO_PROVIDER, tmp_path)

    assert {"python", "cryptography", "sqlcipher"} < set(asked)
    assert {"broken"} == {mode_of(behaviour) for behaviour in asked.values()}


def test_without_fips_mode_every_library_works(tmp_path: Path) -> None:
    """Under an empty configuration each encrypts, and none says FIPS mode."""
    asked = asked_with("", tmp_path)

    assert {(False, True)} == {(one.says_fips, one.encrypts) for one in asked.values()}


def test_a_package_that_is_none_has_no_version() -> None:
    """The version of what is not installed is empty."""
    assert ("", True) == (
        ThisProcess().installed("no-such-package-at-all"),
        bool(ThisProcess().installed("cryptography")),
    )
