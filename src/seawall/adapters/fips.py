"""Asks the cryptographic modules of this process what they are, and in which mode.

There is more than one: the library `cryptography` and SQLCipher bring an OpenSSL of their own,
and Python uses the system's. Each is asked itself, and tried: one with a configuration that it
cannot follow says that it is in FIPS mode, and then cannot encrypt.
"""

from __future__ import annotations

import ctypes
import re
import ssl
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import cryptography
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seawall.core.fips import Behaviour, CryptoModule, mode_of

if TYPE_CHECKING:
    from collections.abc import Callable

_SQLCIPHER_KEY: Final = "pragma key = \"x'" + "00" * 32 + "'\""
_LOADED: Final = re.compile(r"\S*/libcrypto[^/\s]*\.so[^/\s]*")
_NEEDED: Final = re.compile(rb"\0libcrypto\.so\.[0-9.]+\0")
"""How an ELF file names the shared libcrypto that it needs."""
_FAILURES: Final = (ValueError, RuntimeError, InternalError, UnsupportedAlgorithm)


class Libraries(Protocol):
    """What is asked of the libraries of a process: a version, and how it behaves."""

    def cryptography(self) -> tuple[str, Behaviour]:
        """Ask the library `cryptography`."""
        ...

    def python(self) -> tuple[str, Behaviour]:
        """Ask Python's modules `ssl` and `hashlib`."""
        ...

    def sqlcipher(self) -> tuple[str, Behaviour]:
        """Ask SQLCipher."""
        ...

    def loaded(self) -> list[tuple[str, bool]]:
        """Return each shared libcrypto of this process, and whether it is in FIPS mode."""
        ...

    def installed(self, package: str) -> str:
        """Return the version of an installed package; empty if it is none."""
        ...


class ThisProcess:
    """The libraries of this very process."""

    def cryptography(self) -> tuple[str, Behaviour]:
        """Ask the library `cryptography`, by encrypting and by hashing with MD5."""
        said = f"{cryptography.__version__} with {backend.openssl_version_text()}"

        def encrypt() -> object:
            """Encrypt by AES-256-GCM."""
            return AESGCM(bytes(32)).encrypt(bytes(12), b"", None)

        def md5() -> object:
            """Hash by MD5, which protects nothing here."""
            return hashes.Hash(hashes.MD5()).finalize()  # noqa: S303  to see whether it is refused

        says = bool(getattr(backend, "_fips_enabled", False))
        return said, Behaviour(says, _works(encrypt), _works(md5))

    def python(self) -> tuple[str, Behaviour]:
        """Ask Python's OpenSSL, by hashing with SHA-256 and MD5."""
        import _hashlib  # noqa: PLC0415  it has no public name

        return ssl.OPENSSL_VERSION, Behaviour(
            bool(_hashlib.get_fips_mode()),
            _works(lambda: _hashlib.new("sha256", b"")),
            _works(lambda: _hashlib.new("md5", b"", usedforsecurity=True)),
        )

    def sqlcipher(self) -> tuple[str, Behaviour]:
        """Ask SQLCipher, by an encrypted database in memory.

        A provider that cannot encrypt keeps the library from being imported at all.
        """
        try:
            import sqlcipher3.dbapi2 as sqlcipher  # noqa: PLC0415  its import may fail, which tells
        except ImportError:
            return "its library does not start", Behaviour(
                says_fips=True, encrypts=False, allows_md5=False
            )
        connection = sqlcipher.connect(":memory:")
        try:
            connection.execute(_SQLCIPHER_KEY)
            said = {
                name: str((connection.execute(f"pragma {name}").fetchone() or ("unknown",))[0])
                for name in (
                    "cipher_version",
                    "cipher_provider",
                    "cipher_provider_version",
                    "cipher_fips_status",
                )
            }
        finally:
            connection.close()
        named = f"{said['cipher_version']} with {said['cipher_provider']}"
        is_fips = said["cipher_fips_status"] == "1" or self._shares_fips()
        return f"{named}: {said['cipher_provider_version']}", Behaviour(
            is_fips, encrypts=True, allows_md5=False
        )

    def _shares_fips(self) -> bool:
        """Whether SQLCipher uses a shared libcrypto, and every one here is in FIPS mode.

        The community edition answers `cipher_fips_status` with 0 whatever its OpenSSL does.
        """
        from sqlcipher3 import _sqlite3  # noqa: PLC0415  as where it is imported first

        shared = self.loaded()
        is_linked = _NEEDED.search(Path(_sqlite3.__file__).read_bytes()) is not None
        return is_linked and bool(shared) and all(is_fips for _, is_fips in shared)

    def loaded(self) -> list[tuple[str, bool]]:
        """Ask each shared libcrypto that is mapped into this process; none where none is seen."""
        try:
            maps = Path("/proc/self/maps").read_text("utf-8")
        except OSError:
            return []
        return [(Path(path).name, _says_fips(path)) for path in sorted(set(_LOADED.findall(maps)))]

    def installed(self, package: str) -> str:
        """Return the version of an installed package; empty if it is none."""
        try:
            return version(package)
        except PackageNotFoundError:
            return ""


def crypto_modules(
    libraries: Libraries,
    *,
    has_own_database: bool,
    has_passphrase: bool,
    has_time_stamps: bool,
    seals_data_sets: bool = False,
) -> list[CryptoModule]:
    """Return every module, and which of them an installation of this kind uses."""
    found = []
    for name, used_for, asking, is_used in (
        (
            "cryptography",
            "sealing, signatures, grants, tokens",
            libraries.cryptography,
            True,
        ),
        ("Python", "TLS, digests", libraries.python, True),
        ("SQLCipher", "the data folder's database", libraries.sqlcipher, has_own_database),
    ):
        said, behaviour = asking()
        found.append(CryptoModule(name, said, used_for, mode_of(behaviour), is_used))
    if package := libraries.installed("psycopg"):
        shared = libraries.loaded()
        mode = mode_of(Behaviour(bool(shared) and all(is_so for _, is_so in shared), True, False))
        names = ", ".join(name for name, _ in shared) or "no shared libcrypto is loaded"
        used_for = "TLS towards PostgreSQL"
        said = f"psycopg {package}; loaded: {names}"
        found.append(CryptoModule("libpq", said, used_for, mode, not has_own_database))
    for package, used_for, is_used in (
        ("pyarrow", "data sets", seals_data_sets),
        ("rfc3161-client", "verifying time stamps", has_time_stamps),
    ):
        if said := libraries.installed(package):
            found.append(CryptoModule(package, said, used_for, "unknown", is_used))
    passphrase = "the key ring's passphrase"  # noqa: S105  what it is for
    said = f"argon2-cffi {libraries.installed('argon2-cffi')}"
    found.append(CryptoModule("Argon2id", said, passphrase, "not-approved", has_passphrase))
    return found


def _works(trying: Callable[[], object]) -> bool:
    try:
        trying()
    except _FAILURES:
        return False
    return True


def _says_fips(path: str) -> bool:
    """Ask a libcrypto for its default property; one that lacks the question is not in FIPS mode."""
    try:
        asking = ctypes.CDLL(path).EVP_default_properties_is_fips_enabled
    except (OSError, AttributeError):
        return False
    asking.argtypes, asking.restype = [ctypes.c_void_p], ctypes.c_int
    return bool(asking(None) == 1)
