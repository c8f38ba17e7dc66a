"""How an installation runs; an unsafe combination refuses to start."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Final

from seawall.config.tables import (
    AccessTable,
    ArchiveBucket,
    ArchiveFolder,
    Backup,
    Keys,
    OpenIdProvider,
    PayloadBucket,
    PayloadFolder,
    TimeStamps,
    Witness,
    bucket_at,
    whereabouts,
    wrong,
)

_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)*{_LABEL}")
_NUMERIC: Final = re.compile(r"(.*\.)?[0-9]+")
_DATABASE: Final = re.compile(r"postgresql://[^\s:@/?#]+@[^\s@?#]*/[A-Za-z0-9_-]+(\?[^\s#@]*)?")
_PROVIDERS: Final = ("file", "openbao", "aws")
_PREFIX: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_HTTPS: Final = 443
_LEVELS: Final = frozenset({"debug", "info", "warning", "error"})


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
    keys: Keys = field(default_factory=Keys)
    backup: Backup | None = None
    """Where backups go; None means that only `seawall backup --to` makes any."""
    key_days: int = 365
    """How old a tenant's key may become before its rotation is overdue."""
    payloads: PayloadFolder | PayloadBucket | None = None
    """Where sealed requests and answers are kept; None means in the database."""
    access: AccessTable = field(default_factory=AccessTable)
    providers: tuple[OpenIdProvider, ...] = ()
    """Where persons sign in besides here."""
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
            raise wrong("port", "use a number from 0 to 65535")
        if self.log_level not in _LEVELS:
            raise wrong("log_level", f"use one of {', '.join(sorted(_LEVELS))}")
        if not 0 < self.ledger_seconds <= 60:  # noqa: PLR2004  callers wait this long
            raise wrong("ledger_seconds", "use more than 0 and at most 60 seconds")
        if self.database_pages < 0:
            raise wrong("database_pages", "use 0, or the most pages that the database may have")
        self._check_outside()
        if len({provider.name for provider in self.providers}) < len(self.providers):
            raise wrong("providers", "give each provider a name of its own")
        self._check_keys()
        self._check_payloads()
        self._check_certificates()
        if not _is_host(self.name):
            raise wrong("name", "use a host name, such as seawall.example.org, or an IPv4 address")
        try:
            ip_address(self.host)
        except ValueError:
            raise wrong("host", "use an IP address, such as 127.0.0.1") from None

    def _check_certificates(self) -> None:
        """Refuse half a certificate, and client certificates that nobody would verify."""
        if bool(self.certificate) != bool(self.certificate_key):
            raise wrong("certificate_key", "name certificate and certificate_key, or neither")
        if self.certificate_authority and not self.certificate:
            raise wrong("certificate_authority", "name it only beside a certificate of your own")
        if self.client_certificates not in {"", "optional", "required"}:
            raise wrong("client_certificates", "use optional or required, or leave it out")
        if bool(self.client_authority) != bool(self.client_certificates):
            raise wrong(
                "client_certificates",
                "name client_authority, and say whether certificates are optional or required",
            )

    def _check_payloads(self) -> None:
        """Refuse what cannot be a payload store, or would be another's."""
        if self.payloads is None:
            return
        if isinstance(self.payloads, PayloadFolder):
            if not self.payloads.folder:
                raise wrong("payloads", "name the folder")
            if self.database and not Path(self.payloads.folder).is_absolute():
                raise wrong("payloads", "name a mount that every replica shares, from / on")
            here: tuple[str, ...] = (
                "folder",
                str((self.data_dir / self.payloads.folder).resolve()),
            )
        else:
            if not self.payloads.bucket:
                raise wrong("payloads", "name the bucket")
            if self.payloads.endpoint and not self.payloads.endpoint.startswith("https://"):
                raise wrong("payloads", "use an endpoint that starts with https://")
            here = bucket_at(self.payloads)
        if here in map(whereabouts, self.archives):
            raise wrong("payloads", "use another folder or prefix than an archive's")

    def _check_keys(self) -> None:
        """Refuse a key manager that is not known, or that says too little."""
        if self.keys.provider not in _PROVIDERS:
            raise wrong("keys: provider", f"use one of {', '.join(_PROVIDERS)}")
        if self.keys.provider == "openbao" and not self.keys.url:
            raise wrong("keys: url", "say where OpenBao answers")
        if self.keys.provider == "aws" and not self.keys.region:
            raise wrong("keys: region", "say in which region the keys are")
        if not _PREFIX.fullmatch(self.keys.prefix):
            raise wrong("keys: prefix", "use lower-case letters, digits and '-'")
        if self.key_days < 1:
            raise wrong("key_days", "use 1 or more days")

    def _check_outside(self) -> None:
        """Refuse what cannot be about witnesses, archives and the database."""
        if not 1 <= self.publish_seconds <= 86_400:  # noqa: PLR2004  a day
            raise wrong("publish_seconds", "use 1 to 86400 seconds")
        if not 0 <= self.witnesses_required <= len(self.witnesses):
            raise wrong("witnesses_required", "use 0 up to the number of [[witnesses]]")
        if self.witnesses and not self.witnesses_required:
            raise wrong("witnesses_required", "say how many of the [[witnesses]] must cosign")
        if len({archive.name for archive in self.archives}) < len(self.archives):
            raise wrong("archives", "give each archive a name of its own")
        if len({whereabouts(archive) for archive in self.archives}) < len(self.archives):
            raise wrong("archives", "give each archive a bucket, or a folder, of its own")
        if self.database and not _DATABASE.fullmatch(self.database):
            raise wrong("database", "use postgresql://USER@HOST/NAME, without a password")
        if self.database_pruner and not self.database:
            raise wrong("database_pruner", "name a role only where there is a database to name it")

    @property
    def base_url(self) -> str:
        """The address under which clients reach the server."""
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """Return the address at a port, as browsers write an origin: without the usual one."""
        return f"https://{self.name}" if port == _HTTPS else f"https://{self.name}:{port}"

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


def _is_host(name: str) -> bool:
    """Say whether this is a host name or, if its last label is a number, an IPv4 address."""
    if not _NUMERIC.fullmatch(name):
        return _HOST_NAME.fullmatch(name) is not None
    try:
        return str(IPv4Address(name)) == name
    except ValueError:
        return False
