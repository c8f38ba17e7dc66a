"""Settings, read once: `seawall.toml` in the data folder, then SEAWALL_* variables.

Secrets are not settings: the passphrase is taken apart from them and shown by
nothing. An unsafe combination refuses to start.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from seawall.core.errors import Invalid, Missing, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TableT = TypeVar("TableT")

DEMO_FOLDER: Final = Path("seawall-demo")
_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)*{_LABEL}")
_NUMERIC: Final = re.compile(r"(.*\.)?[0-9]+")
_DATABASE: Final = re.compile(r"postgresql://[^\s:@/?#]+@[^\s@?#]*/[A-Za-z0-9_-]+(\?[^\s#@]*)?")
_SCALARS: Final = frozenset({"str", "int", "float", "bool"})
_PROVIDERS: Final = ("file", "openbao", "aws")
_PREFIX: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_LEVELS: Final = frozenset({"debug", "info", "warning", "error"})


@dataclass(frozen=True, slots=True)
class Witness:
    """A `[[witnesses]]` table: who cosigns checkpoints, and where it takes them."""

    vkey: str
    """Its verifier key, `name+id+key`, for Ed25519 (0x04) or ML-DSA-44 (0x06) cosignatures."""
    url: str
    """The submission prefix: checkpoints are posted to `<url>/add-checkpoint`."""
    authority: str = ""
    """PEM file of the authority that its TLS certificate is from; empty means the system's."""


@dataclass(frozen=True, slots=True)
class ArchiveFolder:
    """An `[[archives]]` table with a `folder`: bundles as files of this machine or a mount."""

    name: str
    folder: str


@dataclass(frozen=True, slots=True)
class ArchiveBucket:
    """An `[[archives]]` table with a `bucket`: S3 with Object Lock in COMPLIANCE mode.

    Credentials are those that boto3 finds; they are no settings.
    """

    name: str
    bucket: str
    prefix: str = ""
    endpoint: str = ""
    """URL of another S3 service than AWS's; empty means AWS."""
    region: str = "us-east-1"
    authority: str = ""


@dataclass(frozen=True, slots=True)
class PayloadFolder:
    """The `[payloads]` table with a `folder`: sealed requests and answers as files."""

    folder: str
    """Relative to the data folder; a mount, where several replicas share it."""


@dataclass(frozen=True, slots=True)
class PayloadBucket:
    """The `[payloads]` table with a `bucket`: sealed requests and answers in S3, no versions.

    Credentials are those that boto3 finds; they are no settings.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    """URL of another S3 service than AWS's; empty means AWS."""
    region: str = "us-east-1"
    authority: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """The `[keys]` table: which key manager holds the root keys, apart from the data.

    Its credentials are no settings: they come from variables, or from what boto3 finds.
    """

    provider: str = "file"
    """`file` (in the data folder, for one machine), `openbao` (Vault too) or `aws` (KMS)."""
    url: str = ""
    """Where OpenBao answers."""
    mount: str = "transit"
    """Where OpenBao's transit engine is mounted."""
    prefix: str = "seawall"
    """What the names of this installation's root keys begin with, in the key manager."""
    authority: str = ""
    """PEM file of the authority that the key manager's certificate is from."""
    namespace: str = ""
    region: str = ""
    """The region of AWS KMS."""
    endpoint: str = ""
    """URL of another KMS than AWS's; empty means AWS."""


@dataclass(frozen=True, slots=True)
class TimeStamps:
    """The `[timestamps]` table: an RFC 3161 authority that stamps published checkpoints."""

    url: str
    authority: str
    """PEM file of the root certificate that the authority's answers must lead to."""


@dataclass(frozen=True, slots=True)
class Backup:
    """The `[backup]` table: where backups go while the server serves, how often, how many stay."""

    folder: str
    """A folder, or a mount, that is not on the data's own disk."""
    hours: int = 24
    """How often a backup is made; 0 means by the command alone."""
    keep: int = 0
    """How many snapshots stay; 0 means all."""
    drill_days: int = 90
    """After how many days without a restore drill the next one is overdue."""

    def __post_init__(self) -> None:
        if not self.folder or not 0 <= self.hours <= 8_760:  # noqa: PLR2004  a year
            raise _wrong("backup", "name a folder, and 0 to 8760 hours")
        if self.keep < 0 or self.drill_days < 1:
            raise _wrong("backup", "keep 0 or more snapshots, and drill after 1 or more days")


@dataclass(frozen=True, slots=True)
class Settings:
    """How this installation runs."""

    data_dir: Path
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8443
    """Port to listen on; 0 lets the system choose."""
    name: str = "localhost"
    """Host name or IPv4 address of the server for clients; in its certificate and log origins."""
    log_level: str = "info"
    ledger_seconds: float = 5.0
    """Time within which an entry must be durable, else nothing moves."""
    database_pages: int = 0
    """Most pages of 4 KiB that the database may have; 0 means as many as the disk holds."""
    database: str = ""
    """`postgresql://USER@HOST[:PORT]/NAME` without a password; empty means the folder's own."""
    database_pruner: str = ""
    """The role of that database that alone may prune; empty means that nothing is pruned."""
    fips_required: bool = False
    """Refuse to start unless every cryptographic module in use runs in FIPS mode."""
    system_auditors: str = ""
    """Who may read the system's log where there are several tenants: `TENANT/CLIENT ...`."""
    witnesses: tuple[Witness, ...] = ()
    witnesses_required: int = 0
    """How many of the witnesses must cosign before a checkpoint counts as witnessed."""
    publish_seconds: float = 60.0
    """How often a checkpoint that has grown is published: witnessed, stamped, archived."""
    archives: tuple[ArchiveFolder | ArchiveBucket, ...] = ()
    timestamps: TimeStamps | None = None
    keys: Keys = Keys()
    backup: Backup | None = None
    """Where backups go; None means that only `seawall backup --to` makes any."""
    key_days: int = 365
    """How old a tenant's key may become before its rotation is overdue."""
    payloads: PayloadFolder | PayloadBucket | None = None
    """Where sealed requests and answers are kept; None means in the database."""
    certificate: str = ""
    """PEM file of the operator's own certificate and its chain; empty means the private one."""
    certificate_key: str = ""
    """PEM file of that certificate's key; what opens it is read apart from settings."""
    certificate_authority: str = ""
    """PEM file that the command line trusts for that certificate; empty means the system's."""
    client_authority: str = ""
    """PEM file of the authorities whose client certificates are taken; empty means none is."""
    client_certificates: str = ""
    """`optional` or `required`, where there is a `client_authority`."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:  # noqa: PLR2004  TCP
            raise _wrong("port", "use a number from 0 to 65535")
        if self.log_level not in _LEVELS:
            raise _wrong("log_level", f"use one of {', '.join(sorted(_LEVELS))}")
        if not 0 < self.ledger_seconds <= 60:  # noqa: PLR2004  callers wait this long
            raise _wrong("ledger_seconds", "use more than 0 and at most 60 seconds")
        if self.database_pages < 0:
            raise _wrong("database_pages", "use 0, or the most pages that the database may have")
        self._check_outside()
        self._check_keys()
        self._check_payloads()
        self._check_certificates()
        if not _is_host(self.name):
            raise _wrong("name", "use a host name, such as seawall.example.org, or an IPv4 address")
        try:
            ip_address(self.host)
        except ValueError:
            raise _wrong("host", "use an IP address, such as 127.0.0.1") from None

    def _check_certificates(self) -> None:
        """Refuse half a certificate, and client certificates that nobody would verify."""
        if bool(self.certificate) != bool(self.certificate_key):
            raise _wrong("certificate_key", "name certificate and certificate_key, or neither")
        if self.certificate_authority and not self.certificate:
            raise _wrong("certificate_authority", "name it only beside a certificate of your own")
        if self.client_certificates not in {"", "optional", "required"}:
            raise _wrong("client_certificates", "use optional or required, or leave it out")
        if bool(self.client_authority) != bool(self.client_certificates):
            raise _wrong(
                "client_certificates",
                "name client_authority, and say whether certificates are optional or required",
            )

    def _check_payloads(self) -> None:
        """Refuse what cannot be a payload store, or would be another's."""
        if self.payloads is None:
            return
        if isinstance(self.payloads, PayloadFolder):
            if not self.payloads.folder:
                raise _wrong("payloads", "name the folder")
            if self.database and not Path(self.payloads.folder).is_absolute():
                raise _wrong("payloads", "name a mount that every replica shares, from / on")
            here: tuple[str, ...] = (
                "folder",
                str((self.data_dir / self.payloads.folder).resolve()),
            )
        else:
            if not self.payloads.bucket:
                raise _wrong("payloads", "name the bucket")
            if self.payloads.endpoint and not self.payloads.endpoint.startswith("https://"):
                raise _wrong("payloads", "use an endpoint that starts with https://")
            here = _bucket_at(self.payloads)
        if here in map(_whereabouts, self.archives):
            raise _wrong("payloads", "use another folder or prefix than an archive's")

    def _check_keys(self) -> None:
        """Refuse a key manager that is not known, or that says too little."""
        if self.keys.provider not in _PROVIDERS:
            raise _wrong("keys: provider", f"use one of {', '.join(_PROVIDERS)}")
        if self.keys.provider == "openbao" and not self.keys.url:
            raise _wrong("keys: url", "say where OpenBao answers")
        if self.keys.provider == "aws" and not self.keys.region:
            raise _wrong("keys: region", "say in which region the keys are")
        if not _PREFIX.fullmatch(self.keys.prefix):
            raise _wrong("keys: prefix", "use lower-case letters, digits and '-'")
        if self.key_days < 1:
            raise _wrong("key_days", "use 1 or more days")

    def _check_outside(self) -> None:
        """Refuse what cannot be about witnesses, archives and the database."""
        if not 1 <= self.publish_seconds <= 86_400:  # noqa: PLR2004  a day
            raise _wrong("publish_seconds", "use 1 to 86400 seconds")
        if not 0 <= self.witnesses_required <= len(self.witnesses):
            raise _wrong("witnesses_required", "use 0 up to the number of [[witnesses]]")
        if self.witnesses and not self.witnesses_required:
            raise _wrong("witnesses_required", "say how many of the [[witnesses]] must cosign")
        if len({archive.name for archive in self.archives}) < len(self.archives):
            raise _wrong("archives", "give each archive a name of its own")
        if len({_whereabouts(archive) for archive in self.archives}) < len(self.archives):
            raise _wrong("archives", "give each archive a bucket, or a folder, of its own")
        if self.database and not _DATABASE.fullmatch(self.database):
            raise _wrong("database", "use postgresql://USER@HOST/NAME, without a password")
        if self.database_pruner and not self.database:
            raise _wrong("database_pruner", "name a role only where there is a database to name it")

    @property
    def base_url(self) -> str:
        """The address under which clients reach the server."""
        return f"https://{self.name}:{self.port}"

    @property
    def authority(self) -> Path | None:
        """Whose certificates the command line trusts its server by; None means the system's."""
        if self.certificate:
            return Path(self.certificate_authority) if self.certificate_authority else None
        return self.data_dir / "tls" / "authority.pem"

    @property
    def token_url(self) -> str:
        """The audience of clients' assertions: stable, whatever the port."""
        return f"https://{self.name}/oauth2/token"


@dataclass(frozen=True, slots=True)
class Passphrase:
    """What opens the key ring, where no key manager does; shows nothing."""

    value: bytes = field(repr=False)
    is_secret: bool = False
    """Whether it is a mounted secret of random bytes, and not what a person chose."""

    def needed(self) -> Passphrase:
        """Return it; `Missing` if there is none."""
        if not self.value:
            raise Missing(
                "passphrase-missing",
                "there is no passphrase for the key ring",
                "set SEAWALL_PASSPHRASE_FILE to a file that holds it, or SEAWALL_PASSPHRASE",
            )
        return self


def read_settings(data_dir: Path | None, environment: Mapping[str, str], **given: Any) -> Settings:
    """Return the settings; `given` (the command line's) win over variables, these over the file."""
    folder = data_dir or Path(environment.get("SEAWALL_DATA_DIR") or DEMO_FOLDER)
    kinds = {item.name: str(item.type) for item in fields(Settings) if str(item.type) in _SCALARS}
    chosen: dict[str, Any] = _file(folder / "seawall.toml", kinds)
    for name, kind in kinds.items():
        text = environment.get(f"SEAWALL_{name.upper()}")
        if text is not None:
            chosen[name] = _read(name, kind, text)
    chosen |= {name: value for name, value in given.items() if value is not None}
    return Settings(data_dir=folder, **chosen)


def read_passphrase(
    folder: Path, environment: Mapping[str, str], file: Path | None = None
) -> Passphrase:
    """Return the passphrase, or an empty one if there is none.

    From `file`, SEAWALL_PASSPHRASE_FILE, SEAWALL_ROOT_SECRET_FILE (random bytes, taken as
    they are), SEAWALL_PASSPHRASE, in this order. A demo leaves its passphrase in its folder
    and says so; nothing else does. `Missing` if a file that is named cannot be read.
    """
    place = file or environment.get("SEAWALL_PASSPHRASE_FILE")
    secret = environment.get("SEAWALL_ROOT_SECRET_FILE")
    text = environment.get("SEAWALL_PASSPHRASE")
    if place is None and secret is not None:
        return Passphrase(_read_secret(Path(secret)), is_secret=True)
    if place is None and text is None and (folder / "passphrase").exists():
        place = folder / "passphrase"
    if place is not None:
        text = _read_text(Path(place))
    return Passphrase((text or "").encode())


def _read_text(path: Path) -> str:
    try:
        return _read_secret(path).decode().strip()
    except UnicodeDecodeError:
        raise Missing(
            "passphrase-missing",
            "the passphrase's file is no text",
            "name random bytes by SEAWALL_ROOT_SECRET_FILE, and a passphrase as text",
        ) from None


def _read_secret(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise Missing(
            "passphrase-missing",
            "the file that should open the key ring cannot be read",
            "check SEAWALL_PASSPHRASE_FILE or SEAWALL_ROOT_SECRET_FILE, and permissions",
        ) from None


def read_database_password(environment: Mapping[str, str], name: str) -> str | None:
    """Return the password of a role of the database, or None where it needs none.

    From the file that `NAME_FILE` names, else from the variable `NAME`; it is asked for
    at every connection, so that it may change. `Missing` if the file cannot be read.
    """
    return _read_credential(environment, name, "database-password-missing")


def read_certificate_password(
    environment: Mapping[str, str], name: str = "SEAWALL_CERTIFICATE_PASSWORD"
) -> str:
    """Return what opens a certificate's key, read as `read_database_password` reads; may be empty.

    It is asked for at each loading, so that it may change with the key.
    """
    return _read_credential(environment, name, "certificate-password-missing") or ""


def read_key_token(environment: Mapping[str, str], name: str) -> str | None:
    """Return a token of the key manager, read as `read_database_password` reads; None if none.

    `Refused` if the file cannot be read: what has no credentials must never look like a key
    that is gone.
    """
    try:
        return _read_credential(environment, name, "key-token-missing")
    except Missing as error:
        raise Refused(error.code, error.message, error.help) from None


def _read_credential(environment: Mapping[str, str], name: str, code: str) -> str | None:
    place = environment.get(f"{name}_FILE")
    if place is None:
        return environment.get(name) or None
    try:
        return Path(place).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise Missing(
            code,
            f"the file that {name}_FILE names cannot be read",
            "check that it exists, and that the server may read it",
        ) from None


def environment() -> Mapping[str, str]:
    """Return the process's environment, read here and nowhere else."""
    return os.environ


def _file(path: Path, kinds: Mapping[str, str]) -> dict[str, Any]:
    try:
        parsed = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise _wrong("seawall.toml", "write a TOML file that can be read") from None
    for name, value in parsed.items():
        if name in _TABLES:
            parsed[name] = _TABLES[name](value)
            continue
        expected = kinds.get(name)
        fitting = ("float", "int") if expected == "float" else (expected,)
        if type(value).__name__ not in fitting:
            raise _in_file(name)
    return parsed


def _witnesses(value: Any) -> tuple[Witness, ...]:
    return tuple(_table(Witness, item, "witnesses") for item in _list(value, "witnesses"))


def _archives(value: Any) -> tuple[ArchiveFolder | ArchiveBucket, ...]:
    return tuple(
        _table(ArchiveBucket, item, "archives")
        if "bucket" in item
        else _table(ArchiveFolder, item, "archives")
        for item in _list(value, "archives")
    )


def _whereabouts(archive: ArchiveFolder | ArchiveBucket) -> tuple[str, ...]:
    """Return where an archive is, the same for two that are one place as far as settings show."""
    if isinstance(archive, ArchiveFolder):
        return ("folder", str(Path(archive.folder).resolve()))
    return _bucket_at(archive)


def _is_host(name: str) -> bool:
    """Say whether this is a host name or, if its last label is a number, an IPv4 address."""
    if not _NUMERIC.fullmatch(name):
        return _HOST_NAME.fullmatch(name) is not None
    try:
        return str(IPv4Address(name)) == name
    except ValueError:
        return False


def _bucket_at(place: ArchiveBucket | PayloadBucket) -> tuple[str, ...]:
    endpoint = place.endpoint.rstrip("/").lower()
    return ("bucket", endpoint, place.bucket, place.prefix.strip("/"))


def _payloads(value: Any) -> PayloadFolder | PayloadBucket:
    if isinstance(value, dict) and "bucket" in value:
        return _table(PayloadBucket, value, "payloads")
    return _table(PayloadFolder, value, "payloads")


def _keys(value: Any) -> Keys:
    return _table(Keys, value, "keys")


def _backup(value: Any) -> Backup:
    if not isinstance(value, dict) or not all(
        type(item) is (str if name == "folder" else int) for name, item in value.items()
    ):
        raise _in_file("backup")
    try:
        return Backup(**value)
    except TypeError:
        raise _in_file("backup") from None


def _time_stamps(value: Any) -> TimeStamps:
    return _table(TimeStamps, value, "timestamps")


def _list(value: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _in_file(name)
    return value


def _table(kind: type[TableT], value: Any, name: str) -> TableT:
    """Read one table of texts; `Invalid` unless it has the fields of its kind and no other."""
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise _in_file(name)
    try:
        return kind(**value)
    except TypeError:
        raise _in_file(name) from None


_TABLES: Final[dict[str, Callable[[Any], Any]]] = {
    "witnesses": _witnesses,
    "archives": _archives,
    "timestamps": _time_stamps,
    "keys": _keys,
    "backup": _backup,
    "payloads": _payloads,
}
"""What `seawall.toml` alone can hold, since a variable is one line of text."""


def _read(name: str, kind: str, text: str) -> str | int | float:
    readings: dict[str, Callable[[str], str | int | float]] = {
        "int": int,
        "float": float,
        "bool": {"true": True, "false": False}.__getitem__,
    }
    reading = readings.get(kind, str)
    try:
        return reading(text)
    except (ValueError, KeyError):
        fitting = "true or false" if kind == "bool" else f"a value of the kind {kind}"
        raise _wrong(f"SEAWALL_{name.upper()}", f"use {fitting}") from None


def _in_file(name: str) -> Invalid:
    return _wrong(f"seawall.toml: {name}", "see docs/reference/configuration.md")


def _wrong(name: str, help_text: str) -> Invalid:
    return Invalid("wrong-setting", f"the setting {name} is not usable", help_text)
