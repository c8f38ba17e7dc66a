"""Where sealed requests and answers are kept, if the settings name a place for them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from seawall.adapters.clock import SystemRandom
from seawall.adapters.payloads.folder import FolderPayloads
from seawall.app.payloads import PayloadLedger
from seawall.config import PayloadBucket
from seawall.core.errors import Invalid

if TYPE_CHECKING:
    from seawall.app.ports import Ledger, Payloads
    from seawall.compose.installation import Installation
    from seawall.config import Settings


def payloads_of(settings: Settings) -> Payloads | None:
    """Return the payload store, unasked, or None where payloads are kept in the database.

    `Invalid` if it is a bucket and boto3 is not installed.
    """
    if settings.payloads is None:
        return None
    if isinstance(settings.payloads, PayloadBucket):
        return _bucket(settings.payloads, settings.ledger_seconds)
    return FolderPayloads(settings.data_dir / settings.payloads.folder, random=SystemRandom())


def owner_of(installation: Installation) -> str:
    """Return by which word an installation claims its payload store: its signing key's digest."""
    return "sha256:" + hashlib.sha256(installation.public_key).hexdigest()


def keeping_payloads(ledger: Ledger, payloads: Payloads | None, settings: Settings) -> Ledger:
    """Return the ledger by which exchanges are recorded."""
    if payloads is None:
        return ledger
    return PayloadLedger(ledger, payloads, limit_seconds=settings.ledger_seconds)


def _bucket(place: PayloadBucket, seconds: float) -> Payloads:
    try:
        # Only where there is a bucket: the library is optional, and takes its time to load.
        from seawall.adapters.archive.s3 import connect_s3  # noqa: PLC0415
        from seawall.adapters.payloads.s3 import THREADS, S3Payloads  # noqa: PLC0415
    except ImportError:
        raise Invalid(
            "wrong-setting",
            "a payload store that is a bucket needs a library that is not installed",
            "install seawall[s3]",
        ) from None
    client = connect_s3(
        endpoint=place.endpoint,
        region=place.region,
        authority=place.authority,
        read_seconds=seconds,
        connections=THREADS,
    )
    return S3Payloads(client, bucket=place.bucket, prefix=place.prefix, random=SystemRandom())
