"""What works on keys: rotation, wrapping anew, shredding, the second factor, the schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from seawall.adapters.db.holdings import SqlHoldings
from seawall.adapters.second_factor import TimeCodes
from seawall.app.destroy_roots import DestroyRoots
from seawall.app.destruction import DescribeDestruction
from seawall.app.key_claims import KeyClaims
from seawall.app.key_history import KeyHistory
from seawall.app.key_schedule import KeySchedule
from seawall.app.key_status import KeyStatus
from seawall.app.manage_keys import ManageKeys
from seawall.app.may_shred import MayShred
from seawall.app.ports import SYSTEM_LOG
from seawall.app.rewrap_keys import RewrapKeys
from seawall.app.rotate_keys import RotateKeys
from seawall.app.rounds import Rounds
from seawall.app.shred_keys import ShredKeys
from seawall.app.step_up import CodeStepUp
from seawall.core.errors import Refused
from seawall.core.policy.principal import Principal
from seawall.core.seal.certificate import sign_certificate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seawall.app.ports import Destruction, KeyCopies, KeyOperator, RootVersion
    from seawall.compose.installation import Installation
    from seawall.compose.writer import Writer

_REWRAPPING_SECONDS = 60.0
_SCHEDULE_SECONDS = 3_600.0


@dataclass(frozen=True)
class KeyRoom:
    """What works on the keys of an installation, and what is done again and again."""

    managing: ManageKeys
    rewrapping: RewrapKeys
    schedule: KeySchedule
    rounds: tuple[Rounds, ...]


def keys_of(
    installation: Installation, writer: Writer, copies: Sequence[KeyCopies] = ()
) -> KeyRoom:
    """Return what works on keys; `copies` are where copies of wrapped keys are rewritten.

    Without an operator's credentials everything is here but what needs them, which is refused.
    """
    store, clock, ledger = installation.store, installation.clock, writer.ledger
    history = KeyHistory(store=store, indexing=writer.indexing)
    manager = installation.key_manager
    operator: KeyOperator = installation.key_operator or _NoOperator()
    recorded: dict[str, Any] = {"ledger": ledger, "clock": clock}
    wrapped: dict[str, Any] = {"keys": writer.wrapped_keys, "keeper": writer.keys}
    claims = KeyClaims(store=store, history=history, ring=writer.keys, **recorded)
    roots = DestroyRoots(manager=manager, operator=operator, clock=clock, **wrapped)
    alone: dict[str, Any] = {"claims": claims, "roots": roots, "ring": writer.keys}

    async def sign(body: Mapping[str, Any]) -> str:
        """Sign a certificate by the key that signs the logs, under the system log's name."""
        name = (await store.head(SYSTEM_LOG)).origin
        return sign_certificate(body, name, installation.signing_key.sign, installation.public_key)

    rewrapping = RewrapKeys(store=store, **recorded, **wrapped)
    schedule = KeySchedule(
        store=store,
        keys=writer.wrapped_keys,
        manager=manager,
        history=history,
        notifier=writer.notifier,
        clock=clock,
        root_days=installation.settings.key_days,
        tenant_days=installation.settings.key_days,
    )
    shredding = ShredKeys(
        store=store,
        history=history,
        may_shred=MayShred(store=store, history=history, clock=clock),
        describing=DescribeDestruction(store=store, history=history, manager=manager, clock=clock),
        rewrapping=rewrapping,
        holdings=SqlHoldings(installation.engine),
        copies=copies,
        sign=sign,
        **recorded,
        **wrapped,
        **alone,
    )
    managing = ManageKeys(
        store=store,
        ring=writer.keys,
        status=KeyStatus(
            keys=writer.wrapped_keys, manager=manager, history=history, schedule=schedule
        ),
        rotating=RotateKeys(history=history, manager=manager, **recorded, **wrapped, **alone),
        rewrapping=rewrapping,
        shredding=shredding,
        step_up=CodeStepUp(
            store=store,
            indexing=writer.indexing,
            keys=writer.keys,
            notifier=writer.notifier,
            factor=TimeCodes(installation.random, f"Seawall {installation.settings.name}"),
            **recorded,
        ),
    )
    return KeyRoom(managing, rewrapping, schedule, _rounds(rewrapping, schedule, writer))


def _rounds(rewrapping: RewrapKeys, schedule: KeySchedule, writer: Writer) -> tuple[Rounds, ...]:
    """Return what is done while the server serves."""

    async def rewrap() -> None:
        """Wrap anew what a rotation left, as the system."""
        await rewrapping.all(lambda tenant: Principal("system", "seawall", tenant))

    told = writer.notifier
    return (
        Rounds("rewrapping", rewrap, seconds=_REWRAPPING_SECONDS, notifier=told),
        Rounds("key-schedule", schedule.check, seconds=_SCHEDULE_SECONDS, notifier=told),
    )


class _NoOperator:
    """The KeyOperator port where nobody gave an operator's credentials: it refuses."""

    async def make(self, _name: str) -> None:
        """Refuse."""
        _refuse()

    async def versions(self, _name: str) -> list[RootVersion]:
        """Refuse."""
        _refuse()

    async def rotate(self, _name: str) -> int:
        """Refuse."""
        _refuse()

    async def destroy(self, _name: str, _below: int | None = None) -> Destruction:
        """Refuse."""
        _refuse()


def _refuse() -> NoReturn:
    raise Refused(
        "key-operator-missing",
        "this process has no operator's credentials for the key manager",
        "set them as docs/how-to/rotate-and-shred-keys.md says, for this command or the server",
    )
