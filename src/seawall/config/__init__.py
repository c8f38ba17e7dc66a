"""Settings, read once: `seawall.toml` in the data folder, then SEAWALL_* variables.

Secrets are not settings: the passphrase is taken apart from them and shown by
nothing. An unsafe combination refuses to start.
"""

from seawall.config.reading import (
    DEMO_FOLDER,
    environment,
    read_settings,
)
from seawall.config.secrets import (
    Passphrase,
    read_certificate_password,
    read_database_password,
    read_key_token,
    read_passphrase,
    read_provider_secret,
)
from seawall.config.settings import (
    Settings,
)
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
)

__all__ = [
    "DEMO_FOLDER",
    "AccessTable",
    "ArchiveBucket",
    "ArchiveFolder",
    "Backup",
    "Keys",
    "OpenIdProvider",
    "Passphrase",
    "PayloadBucket",
    "PayloadFolder",
    "Settings",
    "TimeStamps",
    "Witness",
    "environment",
    "read_certificate_password",
    "read_database_password",
    "read_key_token",
    "read_passphrase",
    "read_provider_secret",
    "read_settings",
]
