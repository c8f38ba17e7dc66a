"""Data sets as sealed files: what reads and writes them, and the intents over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seawall.adapters.clock import SystemRandom
from seawall.adapters.second_factor import TimeCodes
from seawall.app.seal_dataset import SealDataset
from seawall.app.step_up import CodeStepUp
from seawall.config import Passphrase
from seawall.core.errors import Invalid
from seawall.crypto import check_crypto

if TYPE_CHECKING:
    from seawall.app.ports import Datasets
    from seawall.compose.installation import Installation
    from seawall.compose.writer import Writer


def dataset_files() -> Datasets:
    """Return what reads and writes sealed files; `Invalid` if its library is not installed."""
    try:
        # Only where it is asked for: the library is optional, and takes its time to load.
        from seawall.adapters.datasets.parquet import ParquetDatasets  # noqa: PLC0415
    except ImportError:
        raise Invalid(
            "datasets-missing",
            "data sets need a library that is not installed",
            "install seawall[datasets]",
        ) from None
    return ParquetDatasets(SystemRandom())


def dataset_intents(installation: Installation, writer: Writer, files: Datasets) -> SealDataset:
    """Return what seals and opens data sets of an installation.

    `Refused` (`fips-required`) where FIPS mode is asked for: the library cannot be asked.
    """
    settings = installation.settings
    # What opened the key ring was looked at when it was opened.
    check_crypto(settings, Passphrase(b"", is_secret=True), seals_data_sets=True)
    recorded: dict[str, Any] = {
        "store": installation.store,
        "ledger": writer.ledger,
        "clock": installation.clock,
    }
    step_up = CodeStepUp(
        indexing=writer.indexing,
        keys=writer.keys,
        notifier=writer.notifier,
        factor=TimeCodes(installation.random, f"Seawall {settings.name}"),
        **recorded,
    )
    return SealDataset(
        datasets=files,
        keys=writer.keys,
        step_up=step_up,
        notifier=writer.notifier,
        random=installation.random,
        **recorded,
    )
