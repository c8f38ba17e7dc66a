"""The archives that the settings name, and what plans pruning by them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from seawall.adapters.archive.folder import FolderArchive
from seawall.adapters.clock import SystemRandom
from seawall.app.prune_ledger import PlanPruning
from seawall.config import ArchiveBucket
from seawall.core.errors import Invalid
from seawall.core.registers.spec import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.app.ports import Archive
    from seawall.compose.installation import Installation
    from seawall.config import Settings


def archives_of(settings: Settings) -> list[Archive]:
    """Return the archives, unasked.

    `Invalid` if one is a bucket and boto3 is not installed, and for a name that is no
    document name: entries and errors say it.
    """
    made: list[Archive] = []
    for archive in settings.archives:
        if not re.fullmatch(NAME_PATTERN, archive.name):
            raise Invalid(
                "wrong-setting",
                "the name of an archive is not usable",
                "use lower-case letters, digits, '.', '_' and '-', at most 63 characters",
            )
        if isinstance(archive, ArchiveBucket):
            made.append(_bucket(archive))
        else:
            folder = Path(archive.folder)
            made.append(
                FolderArchive(
                    archive.name, folder, apart_from=settings.data_dir, random=SystemRandom()
                )
            )
    return made


def planning_of(installation: Installation, archives: Sequence[Archive]) -> PlanPruning:
    """Return what finds how far logs may be pruned; it takes no claim on the folder."""
    return PlanPruning(
        store=installation.store,
        read_ledger=installation.read_ledger,
        archives=archives,
        clock=installation.clock,
        random=SystemRandom(),
    )


def _bucket(archive: ArchiveBucket) -> Archive:
    try:
        # Only where there is a bucket: the library is optional, and takes its time to load.
        from seawall.adapters.archive.s3 import S3Archive, connect_s3  # noqa: PLC0415
    except ImportError:
        raise Invalid(
            "wrong-setting",
            "an archive that is a bucket needs a library that is not installed",
            "install seawall[s3]",
        ) from None
    client = connect_s3(
        endpoint=archive.endpoint, region=archive.region, authority=archive.authority
    )
    return S3Archive(
        archive.name, client, bucket=archive.bucket, prefix=archive.prefix, random=SystemRandom()
    )
