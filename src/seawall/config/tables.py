"""The tables of `seawall.toml`: what a line of text cannot say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seawall.core.errors import Invalid

_PROVIDER_NAME: Final = re.compile(r"[a-z0-9]{1,30}")
_CLIENT: Final = re.compile("/".join([r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?"] * 2))


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
            raise wrong("backup", "name a folder, and 0 to 8760 hours")
        if self.keep < 0 or self.drill_days < 1:
            raise wrong("backup", "keep 0 or more snapshots, and drill after 1 or more days")


@dataclass(frozen=True, slots=True)
class AccessTable:
    """The `[access]` table: how long sessions last, how soon emergencies are reviewed.

    And which clients may change persons.
    """

    idle_minutes: int = 15
    """After so many minutes without a request a session has ended; at most 15."""
    session_minutes: int = 480
    """After so many minutes a session has ended in any case; at most 480."""
    emergency_review_hours: int = 72
    """Within so many hours an emergency access is reviewed; at most 72."""
    provisioners: str = ""
    """Who may change persons if their documents say so too: `TENANT/CLIENT ...`; empty: none."""

    def __post_init__(self) -> None:
        if not 1 <= self.idle_minutes <= 15 or not 1 <= self.session_minutes <= 480:  # noqa: PLR2004  the longest
            raise wrong("access", "sessions idle 1 to 15 minutes, and last 1 to 480")
        if not 1 <= self.emergency_review_hours <= 72:  # noqa: PLR2004  three days
            raise wrong("access", "emergencies are reviewed within 1 to 72 hours")
        if not all(map(_CLIENT.fullmatch, self.provisioners.split())):
            raise wrong("access: provisioners", "write TENANT/CLIENT, with spaces between")

    @property
    def named(self) -> frozenset[str]:
        """The clients that may change persons, each as `TENANT/CLIENT`."""
        return frozenset(self.provisioners.split())


@dataclass(frozen=True, slots=True)
class OpenIdProvider:
    """A `[[providers]]` table: an OpenID provider at which a tenant's persons sign in.

    Its client secret is no setting: it comes from `SEAWALL_PROVIDER_<NAME>_SECRET`.
    """

    name: str
    """How sign-in calls it, and its variables; lower-case letters and digits."""
    tenant: str
    issuer: str
    client_id: str
    acr: str = ""
    """Authentication context classes of which the provider must name one, with spaces between."""
    amr: str = "mfa"
    """Authentication methods (RFC 8176) that it must name all, where `acr` is empty."""
    authority: str = ""
    """PEM file of the authority that its certificate is from; empty means the system's."""

    def __post_init__(self) -> None:
        if not _PROVIDER_NAME.fullmatch(self.name):
            raise wrong("providers: name", "use lower-case letters and digits")
        if not self.issuer.startswith("https://") or not self.tenant or not self.client_id:
            raise wrong(
                "providers", "name a tenant, an issuer that begins with https://, and a client"
            )
        if not self.acr.split() and not self.amr.split():
            raise wrong("providers", "say by acr or amr how two factors are told")


def whereabouts(archive: ArchiveFolder | ArchiveBucket) -> tuple[str, ...]:
    """Return where an archive is, the same for two that are one place as far as settings show."""
    if isinstance(archive, ArchiveFolder):
        return ("folder", str(Path(archive.folder).resolve()))
    return bucket_at(archive)


def bucket_at(place: ArchiveBucket | PayloadBucket) -> tuple[str, ...]:
    """Return which bucket and prefix this is, the same for two that are one place."""
    endpoint = place.endpoint.rstrip("/").lower()
    return ("bucket", endpoint, place.bucket, place.prefix.strip("/"))


def in_file(name: str) -> Invalid:
    """Return the error of something in `seawall.toml`."""
    return wrong(f"seawall.toml: {name}", "see docs/reference/configuration.md")


def wrong(name: str, help_text: str) -> Invalid:
    """Return the error of a setting, which names it and not its value."""
    return Invalid("wrong-setting", f"the setting {name} is not usable", help_text)
