"""Publishing checkpoints, as the settings say: to which witnesses, with whose time stamps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seawall.adapters.posting import HttpPost
from seawall.adapters.timestamps import QUERY_TYPE, TimeStampAuthority
from seawall.app.publish_checkpoints import OutsideWitness, PublishCheckpoints
from seawall.core.errors import Invalid
from seawall.core.ledger.cosignature import parse_cosigner

if TYPE_CHECKING:
    from seawall.app.ports import Clock, Ledger, Notifier, Store
    from seawall.config import Settings, Witness


def publishing(
    settings: Settings, *, store: Store, ledger: Ledger, clock: Clock, notifier: Notifier
) -> PublishCheckpoints | None:
    """Return what publishes, or None where no witness and no time stamps are configured.

    `Invalid` where the witnesses that are configured can never be as many as are required.
    """
    if not settings.witnesses and settings.timestamps is None:
        return None
    witnesses = [_witness(one) for one in settings.witnesses]
    apart = min(
        len({one.key.name for one in witnesses}), len({one.key.public_key for one in witnesses})
    )
    if apart < settings.witnesses_required:
        raise Invalid(
            "wrong-setting",
            "the setting witnesses_required is not usable",
            "one name, and one key, is one witness: configure as many different ones",
        )
    stamps = settings.timestamps
    return PublishCheckpoints(
        store=store,
        ledger=ledger,
        clock=clock,
        notifier=notifier,
        witnesses=witnesses,
        required=settings.witnesses_required,
        stamps=None
        if stamps is None
        # A time stamp is signed, and what is asked is public: http is what most authorities offer.
        else TimeStampAuthority(
            HttpPost(stamps.url, QUERY_TYPE, plain=True), Path(stamps.authority)
        ),
    )


def _witness(witness: Witness) -> OutsideWitness:
    url = f"{witness.url.rstrip('/')}/add-checkpoint"
    return OutsideWitness(
        parse_cosigner(witness.vkey), HttpPost(url, "text/plain", authority=witness.authority)
    )
