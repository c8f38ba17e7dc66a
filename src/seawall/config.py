"""Settings, read once: `seawall.toml` in the data folder, then SEAWALL_* variables.

Secrets are not settings: the passphrase is taken apart from them and shown by
nothing. An unsafe combination refuses to start.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from seawall.core.errors import Invalid, Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TableT = TypeVar("TableT")

DEMO_FOLDER: Final = Path("seawall-demo")
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_DATABASE: Final = re.compile(r"postgresql://[^\s:@/?#]+@[^\s@?#]*/[A-Za-z0-9_-]+(\?[^\s#@]*)?")
_SCALARS: Final = frozenset({"str", "int", "float"})
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
class TimeStamps:
    """The `[timestamps]` table: an RFC 3161 authority that stamps published checkpoints."""

    url: str
    authority: str
    """PEM file of the root certificate that the authority's answers must lead to."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How this installation runs."""

    data_dir: Path
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8443
    """Port to listen on; 0 lets the system choose."""
    name: str = "localhost"
    """Host name under which clients reach the server; part of its certificate and log origins."""
    log_level: str = "info"
    ledger_seconds: float = 5.0
    """Time within which an entry must be durable, else nothing moves."""
    database_pages: int = 0
    """Most pages of 4 KiB that the database may have; 0 means as many as the disk holds."""
    database: str = ""
    """`postgresql://USER@HOST[:PORT]/NAME` without a password; empty means the folder's own."""
    database_pruner: str = ""
    """The role of that database that alone may prune; empty means that nothing is pruned."""
    system_auditors: str = ""
    """Who may read the system's log where there are several tenants: `TENANT/CLIENT ...`."""
    witnesses: tuple[Witness, ...] = ()
    witnesses_required: int = 0
    """How many of the witnesses must cosign before a checkpoint counts as witnessed."""
    publish_seconds: float = 60.0
    """How often a checkpoint that has grown is published: witnessed, stamped, archived."""
    archives: tuple[ArchiveFolder | ArchiveBucket, ...] = ()
    timestamps: TimeStamps | None = None

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
        if not _HOST_NAME.fullmatch(self.name):
            raise _wrong("name", "use a host name, such as seawall.example.org")
        try:
            ip_address(self.host)
        except ValueError:
            raise _wrong("host", "use an IP address, such as 127.0.0.1") from None

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
    def token_url(self) -> str:
        """The audience of clients' assertions: stable, whatever the port."""
        return f"https://{self.name}/oauth2/token"


@dataclass(frozen=True, slots=True)
class Passphrase:
    """What opens the key ring; shows nothing."""

    value: bytes = field(repr=False)


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
    """Return the passphrase; `Missing` if there is none.

    From `file`, SEAWALL_PASSPHRASE_FILE, SEAWALL_PASSPHRASE, in this order. A demo
    leaves its passphrase in its folder and says so; nothing else does.
    """
    place = file or environment.get("SEAWALL_PASSPHRASE_FILE")
    text = environment.get("SEAWALL_PASSPHRASE")
    if place is None and text is None and (folder / "passphrase").exists():
        place = folder / "passphrase"
    if place is not None:
        try:
            text = Path(place).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            text = None
    if not text:
        raise Missing(
            "passphrase-missing",
            "there is no passphrase for the key ring",
            "set SEAWALL_PASSPHRASE_FILE to a file that holds it, or SEAWALL_PASSPHRASE",
        )
    return Passphrase(text.encode())


def read_database_password(environment: Mapping[str, str], name: str) -> str | None:
    """Return the password of a role of the database, or None where it needs none.

    From the file that `NAME_FILE` names, else from the variable `NAME`; it is asked for
    at every connection, so that it may change. `Missing` if the file cannot be read.
    """
    place = environment.get(f"{name}_FILE")
    if place is None:
        return environment.get(name) or None
    try:
        return Path(place).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise Missing(
            "database-password-missing",
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
    endpoint = archive.endpoint.rstrip("/").lower()
    return ("bucket", endpoint, archive.bucket, archive.prefix.strip("/"))


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
}
"""What `seawall.toml` alone can hold, since a variable is one line of text."""


def _read(name: str, kind: str, text: str) -> str | int | float:
    reading: Callable[[str], str | int | float] = {"int": int, "float": float}.get(kind, str)
    try:
        return reading(text)
    except ValueError:
        raise _wrong(f"SEAWALL_{name.upper()}", f"use a value of the kind {kind}") from None


def _in_file(name: str) -> Invalid:
    return _wrong(f"seawall.toml: {name}", "see docs/reference/configuration.md")


def _wrong(name: str, help_text: str) -> Invalid:
    return Invalid("wrong-setting", f"the setting {name} is not usable", help_text)
