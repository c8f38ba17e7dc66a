"""Which cryptographic modules an installation uses, and the refusal to start without FIPS mode.

It stands apart from what is composed, and loads no part of it: where a module does not work,
most of the program cannot even be loaded, and this must still say which one it is.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from seawall.adapters.fips import ThisProcess, crypto_modules
from seawall.core.fips import require_fips

if TYPE_CHECKING:
    from seawall.config import Passphrase, Settings
    from seawall.core.fips import CryptoModule


def modules_of(
    settings: Settings, passphrase: Passphrase | None, *, seals_data_sets: bool = False
) -> list[CryptoModule]:
    """Return the modules, and which of them an installation with these settings uses."""
    is_secret = passphrase is not None and passphrase.is_secret
    if settings.database:
        # What it loads is asked too, and nothing has loaded it so far. That it is not installed,
        # or does not load, whoever connects by it tells.
        with suppress(ImportError):
            import psycopg  # noqa: F401, PLC0415  the library is an extra
    return crypto_modules(
        ThisProcess(),
        has_own_database=not settings.database,
        has_passphrase=settings.keys.provider == "file" and not is_secret,
        has_time_stamps=settings.timestamps is not None,
        seals_data_sets=seals_data_sets,
    )


def check_crypto(
    settings: Settings, passphrase: Passphrase | None, *, seals_data_sets: bool = False
) -> None:
    """Refuse (`fips-required`) where the settings ask for FIPS mode and a module lacks it."""
    if settings.fips_required:
        require_fips(modules_of(settings, passphrase, seals_data_sets=seals_data_sets))


def is_broken() -> bool:
    """Whether a module of this process says FIPS mode, and cannot encrypt."""
    found = crypto_modules(
        ThisProcess(), has_own_database=True, has_passphrase=False, has_time_stamps=False
    )
    return any(module.mode == "broken" for module in found if module.is_used)
