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
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Protocol

import cryptography
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seawall.core.fips import Behaviour, CryptoModule, mode_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SQLCIPHER_KEY: Final = "pragma key = \"x'" + "00" * 32 + "'\""
_LOADED: Final = re.compile(r"\S*/libcrypto[^/\s]*\.so[^/\s]*")
_NEEDED: Final = re.compile(rb"\0libcrypto\.so\.[0-9.]+\0")
"""How an ELF file names the shared libcrypto that it needs."""
_SILENT: Final = "its library does not start"
_BROKEN: Final = Behaviour(says_fips=True, encrypts=False, allows_md5=False)
_NOTHING: Final = Behaviour(says_fips=False, encrypts=False, allows_md5=True)
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

    def loaded(self) -> list[tuple[str, Behaviour]]:
        """Ask each shared libcrypto of this process."""
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
        """Ask SQLCipher, by writing an encrypted file and reading it.

        A provider that cannot encrypt keeps the library from being imported at all.
        """
        try:
            import sqlcipher3.dbapi2 as sqlcipher  # noqa: PLC0415  its import may fail, which tells
        except ModuleNotFoundError:
            return "not installed", _NOTHING
        except ImportError:
            return _SILENT, _BROKEN
        try:
            said = _pragmas(sqlcipher)
            is_able = _writes_encrypted(sqlcipher)
        except (sqlcipher.Error, OSError):
            return _SILENT, _BROKEN
        named = f"{said['cipher_version']} with {said['cipher_provider']}"
        shared = self._shared()
        is_fips = said["cipher_fips_status"] == "1" or (shared is not None and shared.says_fips)
        return f"{named}: {said['cipher_provider_version']}", Behaviour(
            is_fips,
            is_able and (shared is None or shared.encrypts),
            # One of its own cannot be asked for MD5, which SQLCipher does not offer.
            shared is not None and shared.allows_md5,
        )

    def _shared(self) -> Behaviour | None:
        """Return how the shared libcrypto of SQLCipher behaves; None if it has one of its own.

        The community edition answers `cipher_fips_status` with 0 whatever its OpenSSL does.
        Which of several shared ones it uses is not seen, so each of them counts.
        """
        from sqlcipher3 import _sqlite3  # noqa: PLC0415  as where it is imported first

        is_linked = _NEEDED.search(Path(_sqlite3.__file__).read_bytes()) is not None
        return together(self.loaded()) if is_linked else None

    def loaded(self) -> list[tuple[str, Behaviour]]:
        """Ask each shared libcrypto that is mapped into this process; none where none is seen."""
        try:
            maps = Path("/proc/self/maps").read_text("utf-8")
        except OSError:
            return []
        return [(Path(path).name, _asked(path)) for path in sorted(set(_LOADED.findall(maps)))]

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
        mode = mode_of(together(shared))
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


def together(shared: Sequence[tuple[str, Behaviour]]) -> Behaviour:
    """Return how several libraries behave as one: as the worst of them; none is as bad."""
    each = [behaviour for _, behaviour in shared]
    if not each:
        return _NOTHING
    return Behaviour(
        all(one.says_fips for one in each),
        all(one.encrypts for one in each),
        any(one.allows_md5 for one in each),
    )


def _pragmas(sqlcipher: Any) -> dict[str, str]:
    """Return what SQLCipher says of itself."""
    connection = sqlcipher.connect(":memory:")
    try:
        connection.execute(_SQLCIPHER_KEY)
        return {
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


def _writes_encrypted(sqlcipher: Any) -> bool:
    """Whether a page is written, is encrypted, and is read again; the file is taken away."""
    with TemporaryDirectory(prefix="seawall-") as folder:
        path, found = Path(folder) / "page.db", []
        for statements in (
            ("create table t (x)", "insert into t values (7)"),
            ("select x from t",),
        ):
            connection = sqlcipher.connect(str(path))
            try:
                connection.execute(_SQLCIPHER_KEY)
                for statement in statements:
                    found = connection.execute(statement).fetchall()
                connection.commit()
            finally:
                connection.close()
        return found == [(7,)] and not path.read_bytes().startswith(b"SQLite format 3")


def _asked(path: str) -> Behaviour:
    """Ask a libcrypto for its default property, and for AES-256-GCM and MD5 from its providers.

    One that lacks the questions, which are of OpenSSL 3, is not in FIPS mode.
    """
    try:
        library = ctypes.CDLL(path)
        asking = library.EVP_default_properties_is_fips_enabled
        asking.argtypes, asking.restype = [ctypes.c_void_p], ctypes.c_int
        behaviour = Behaviour(
            bool(asking(None) == 1),
            _offers(library, "EVP_CIPHER", b"AES-256-GCM"),
            _offers(library, "EVP_MD", b"MD5"),
        )
        # A refusal stays in the thread's queue of errors, and TLS would take it for its own.
        library.ERR_clear_error()
    except (OSError, AttributeError):
        return Behaviour(says_fips=False, encrypts=True, allows_md5=True)
    return behaviour


def _offers(library: ctypes.CDLL, kind: str, name: bytes) -> bool:
    """Whether a provider gives an algorithm, by EVP_CIPHER_fetch or EVP_MD_fetch."""
    fetch, free = getattr(library, f"{kind}_fetch"), getattr(library, f"{kind}_free")
    fetch.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
    fetch.restype, free.argtypes, free.restype = ctypes.c_void_p, [ctypes.c_void_p], None
    found = fetch(None, name, None)
    free(found)
    return found is not None
